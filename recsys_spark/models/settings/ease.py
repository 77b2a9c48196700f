"""Settings of the kind `ease`."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from recsys_spark.core.search_space import Range, SearchSpace

__all__ = ["EaseSettings"]


class EaseSettings(BaseModel):
    """Settings of EASE, which counts every pair as one, whatever its plays."""

    search_space: ClassVar[SearchSpace] = {"reg": Range(10.0, 10_000.0, log=True)}

    model_config = ConfigDict(extra="forbid", frozen=True)

    reg: float = Field(default=500.0, gt=0, description="Regularisation (lambda): more for few or short histories.")
    max_items: int = Field(
        default=20_000,
        ge=2,
        le=46_000,
        description="Largest number of items: the driver takes 8 bytes, an executor maps 4, times its square.",
    )
