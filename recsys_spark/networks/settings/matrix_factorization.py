"""Settings of the kind `matrix_factorization`, and of all factorisations."""

from typing import ClassVar, Literal

from pydantic import Field

from recsys_spark.core.search_space import Choice, Range, SearchSpace
from recsys_spark.networks.settings.side_information import SideSettings

__all__ = ["FactorizationSettings", "MatrixFactorizationSettings"]


class FactorizationSettings(SideSettings):
    """Settings common to factorisations by gradient descent."""

    rank: int = Field(default=64, ge=1, le=1024, description="Length of the user and item vectors.")
    biased: bool = Field(default=True, description="Add a bias of each user and of each item.")
    l2: float = Field(default=1.25, ge=0, description="Weight of the squared vectors; damping scales it.")
    damping: float = Field(
        default=0.5, ge=0, le=1, description="l2 is multiplied by n ** (1 - damping) for a user or item with n entries."
    )
    bias_l2: float = Field(default=1e-3, ge=0, description="Weight of the squared biases, counted once per entry.")
    spread: float = Field(
        default=1.0, gt=0, description="Standard deviation of the initial vectors, times the root of rank."
    )
    optimizer: Literal["adam", "sgd"] = Field(default="adam", description="Optimiser: adam, or sgd with momentum.")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Momentum of sgd.")


class MatrixFactorizationSettings(FactorizationSettings):
    """Settings of MatrixFactorization, tuned on the validation data of MovieLens."""

    search_space: ClassVar[SearchSpace] = {
        "rank": Range(8, 256, log=True),
        "l2": Range(0.3, 3.0, log=True),
        "bias_l2": Range(1e-4, 3e-2, log=True),
        "learning_rate": Range(1e-3, 3e-2, log=True),
        "batch_rows": Choice((32, 64, 128, 256)),
    }

    batch_rows: int = Field(default=32, ge=1, description="Rows in a step, over all processes.")
    learning_rate: float = Field(default=5e-3, gt=0, description="Largest step size of the optimiser.")
    average: float = Field(
        default=0.99, ge=0, lt=1, description="Decay per step of the running average of the weights; 0: no average."
    )
    epochs: int = Field(default=80, ge=1, le=10_000, description="Maximum number of passes over the data.")
    initialisation: Literal["small", "uniform"] = Field(
        default="small",
        description="Initial vectors: users zero and items small and normal, or all uniform from 0 to 11 / rank.",
    )
    start: float = Field(
        default=3.6,
        description="Initial value of the trained offset if biased: about the mean rating.",
    )
