"""Settings of the kind `implicit_factorization`."""

from typing import ClassVar, Literal

from pydantic import Field

from recsys_spark.core.search_space import Choice, Range, SearchSpace
from recsys_spark.networks.settings.matrix_factorization import FactorizationSettings

__all__ = ["ImplicitFactorizationSettings"]


class ImplicitFactorizationSettings(FactorizationSettings):
    """Settings of ImplicitFactorization, tuned on the validation data of MovieLens-1M."""

    search_space: ClassVar[SearchSpace] = {
        "rank": Range(16, 256, log=True),
        "l2": Range(1e-3, 0.1, log=True),
        "learning_rate": Range(1e-3, 3e-2, log=True),
        "negatives": Choice((1, 2, 4, 8)),
        "loss": Choice(("bpr", "logistic")),
    }

    loss: Literal["bpr", "logistic"] = Field(
        default="bpr",
        description="bpr: rank played above not played, in pairs; logistic: classify played (1) and not played (0).",
    )
    negatives: int = Field(default=4, ge=1, le=100, description="Items drawn for each play as negatives.")
    l2: float = Field(default=0.01, ge=0, description="Weight of the squared vectors; damping scales it.")
    damping: float = Field(
        default=0.0, ge=0, le=1, description="l2 is multiplied by n ** (1 - damping) for a user or item with n entries."
    )
    bias_l2: float = Field(default=0.01, ge=0, description="Weight of the squared biases, counted once per entry.")
    spread: float = Field(
        default=0.1, gt=0, description="Standard deviation of the initial vectors, times the root of rank."
    )
    epochs: int = Field(default=100, ge=1, le=10_000, description="Maximum number of passes over the data.")
    learning_rate: float = Field(default=5e-3, gt=0, description="Largest step size of the optimiser.")
