"""Settings of the kind `lsa`."""

from typing import ClassVar

from pydantic import Field

from recsys_spark.config.weighting import Weighting, WeightingSettings
from recsys_spark.core.search_space import Choice, Range, SearchSpace

__all__ = ["LsaSettings"]


class LsaSettings(WeightingSettings):
    """Settings of LSA."""

    search_space: ClassVar[SearchSpace] = {
        "rank": Range(8, 512, log=True),
        "weighting": Choice(("linear", "log", "binary", "bm25", "tf_idf")),
    }

    weighting: Weighting = Field(
        default="bm25", description=WeightingSettings.model_fields["weighting"].description or ""
    )
    rank: int = Field(default=50, ge=1, le=1024, description="Length of the vectors.")
    iterations: int = Field(
        default=5, ge=0, le=100, description="Power iterations; more give a result closer to the exact SVD."
    )
    oversampling: int = Field(default=10, ge=0, le=1024, description="Further directions to compute, for accuracy.")
    center: bool = Field(
        default=False, description="Subtract each item's mean (PCA); vectors get one more component, for the means."
    )
    max_matrix_bytes: int = Field(
        default=2 << 30,
        ge=1,
        description="Largest matrix of items by rank + oversampling, 8 bytes each; the driver holds three, a task two.",
    )
