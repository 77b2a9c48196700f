"""Settings of the kind `als`."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from recsys_spark.config.weighting import WeightingSettings
from recsys_spark.core.search_space import Choice, Range, SearchSpace

__all__ = ["AlsSettings"]

WARM_TOLERANCE = 1e-3
# Settings that MLlib cannot express.
BLOCK_SETTINGS = (
    "unobserved_weight",
    "reg_exponent",
    "reg_all_pairs",
    "start_scale",
    "cg_steps",
    "tolerance",
    "warm_start",
    "first_rank",
)


class AlsSettings(WeightingSettings):
    """Settings of ALS, with defaults chosen by validation NDCG on play logs."""

    search_space: ClassVar[SearchSpace] = {
        "rank": Range(16, 256, log=True),
        "reg_param": Range(1e-3, 1.0, log=True),
        "alpha": Range(0.1, 100.0, log=True),
    }

    block_search_space: ClassVar[SearchSpace] = {
        "unobserved_weight": Range(1e-2, 1.0, log=True),
        "reg_exponent": Range(0.0, 1.0),
        "reg_all_pairs": Choice((False, True)),
        "reg_param": Range(1e-4, 1.0, log=True),
        "start_scale": Range(1e-2, 1.0, log=True),
    }

    solver: Literal["mllib", "block_cg"] = Field(
        default="mllib",
        description="mllib (Spark's own, exact), or block_cg (conjugate gradient on blocks in files.root: many times "
        "faster from rank 64 on, and with further objectives).",
    )
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
        description="Number of blocks of users and of items; 0: one a core, or two with block_cg. Vectors depend on it "
        "slightly.",
    )
    checkpoint_interval: int = Field(
        default=5,
        ge=-1,
        description="Passes between checkpoints, if a checkpoint directory is set; -1: never.",
    )
    unobserved_weight: float = Field(
        default=1.0,
        ge=0,
        description="block_cg, implicit: confidence of a pair without plays; plays add alpha x weight.",
    )
    reg_exponent: float = Field(
        default=1.0,
        ge=0,
        le=2,
        description="block_cg: power of the number of ratings in the regularisation; 1: MLlib's, 0: the same for all.",
    )
    reg_all_pairs: bool = Field(
        default=False,
        description="block_cg, implicit: count each pair without plays as unobserved_weight ratings in the "
        "regularisation.",
    )
    start_scale: float = Field(
        default=1.0, gt=0, description="block_cg: standard deviation of the random start, times the root of the rank."
    )
    cg_steps: int = Field(default=3, ge=1, le=100, description="block_cg: steps for each user and item in a pass.")
    tolerance: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="block_cg: stop when a pass lowers the objective by a smaller share than this; 0: after max_iter, "
        "or 0.001 with warm_start.",
    )
    warm_start: bool = Field(
        default=False,
        description="block_cg: start from the vectors of the newest earlier version, and stop early.",
    )
    first_rank: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="block_cg: length of the vectors in the first pass, doubled after each pass until it is rank; 0: "
        "rank from the start.",
    )

    @model_validator(mode="after")
    def _check_solver(self) -> Self:
        fields = type(self).model_fields
        changed = [name for name in BLOCK_SETTINGS if getattr(self, name) != fields[name].default]
        if self.solver == "mllib" and changed:
            raise ValueError(f"{', '.join(changed)}: MLlib has no such setting: set solver to block_cg")
        if self.first_rank and self.first_rank << (self.max_iter - 1) < self.rank:
            raise ValueError(
                f"first_rank {self.first_rank} does not reach rank {self.rank} in max_iter {self.max_iter} passes: "
                "raise first_rank or max_iter"
            )
        return self

    @property
    def stop_below(self) -> float:
        """Return the tolerance, or its default for a warm start."""
        return self.tolerance or (WARM_TOLERANCE if self.warm_start else 0.0)

    @property
    def searched(self) -> SearchSpace:
        """Return the search space of the solver."""
        return self.search_space | (self.block_search_space if self.solver == "block_cg" and self.implicit else {})
