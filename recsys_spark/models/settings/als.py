"""Settings of the kind `als`."""

from typing import ClassVar

from pydantic import Field

from recsys_spark.config.weighting import WeightingSettings
from recsys_spark.core.search_space import Range, SearchSpace

__all__ = ["AlsSettings"]


class AlsSettings(WeightingSettings):
    """Settings of ALS, with defaults chosen by validation NDCG on play logs."""

    search_space: ClassVar[SearchSpace] = {
        "rank": Range(16, 256, log=True),
        "reg_param": Range(1e-3, 1.0, log=True),
        "alpha": Range(0.1, 100.0, log=True),
    }

    rank: int = Field(default=64, ge=1, le=1024, description="Length of the vectors.")
    max_iter: int = Field(
        default=10, ge=1, le=1000, description="Number of passes; each pass solves for all users and all items."
    )
    reg_param: float = Field(default=0.15, gt=0, description="Regularisation, times the number of a row's ratings.")
    alpha: float = Field(default=1.0, ge=0, description="Implicit only: confidence is 1 + alpha x weight.")
    implicit: bool = Field(default=True, description="Learn from plays (true) or from ratings (false).")
    blocks: int = Field(
        default=0,
        ge=0,
        description="Number of blocks of users and of items; 0: one a core. Vectors depend on it slightly.",
    )
    checkpoint_interval: int = Field(
        default=5,
        ge=-1,
        description="Passes between checkpoints, if a checkpoint directory is set; -1: never.",
    )
