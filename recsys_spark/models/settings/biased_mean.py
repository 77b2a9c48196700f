"""Settings of the kind `biased_mean`."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from recsys_spark.core.search_space import Range, SearchSpace

__all__ = ["BiasedMeanSettings"]


class BiasedMeanSettings(BaseModel):
    """Settings of the baseline for ratings."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    search_space: ClassVar[SearchSpace] = {
        "item_shrinkage": Range(1.0, 100.0, log=True),
        "user_shrinkage": Range(1.0, 100.0, log=True),
    }

    item_shrinkage: float = Field(
        default=25.0, ge=0, description="Shrinkage of item biases to zero, as a number of ratings."
    )
    user_shrinkage: float = Field(
        default=10.0, ge=0, description="Shrinkage of user biases to zero, as a number of ratings."
    )
