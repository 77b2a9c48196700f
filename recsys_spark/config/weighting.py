"""Settings of weightings: confidence of an interaction from its play count."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Weighting", "WeightingSettings"]

Weighting = Literal["linear", "log", "binary", "bm25", "tf_idf"]


class WeightingSettings(BaseModel):
    """Settings shared by all models trained on confidences."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weighting: Weighting = Field(
        default="log",
        description="Confidence from play counts: linear (as they are), log (log(1 + plays)), binary (1), "
        "bm25 (saturating, rare items and short histories weigh more), tf_idf (root of plays, rare items weigh more).",
    )
    bm25_k1: float = Field(default=100.0, gt=0, description="bm25: plays at which the weight is half saturated.")
    bm25_b: float = Field(
        default=0.8, ge=0, le=1, description="bm25: discount of long histories, from 0 (none) to 1 (full)."
    )

    @property
    def needs_statistics(self) -> bool:
        """Return True if weights depend on statistics of the training data."""
        return self.weighting in ("bm25", "tf_idf")
