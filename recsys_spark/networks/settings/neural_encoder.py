"""Settings of the kind `neural_encoder`."""

from typing import ClassVar, Literal

from pydantic import Field

from recsys_spark.core.search_space import Range, SearchSpace
from recsys_spark.networks.settings.network import NetworkSettings

__all__ = ["NeuralEncoderSettings"]


class NeuralEncoderSettings(NetworkSettings):
    """Settings of NeuralEncoder, tuned on the validation data of MovieLens-100K."""

    search_space: ClassVar[SearchSpace] = {
        "embedding": Range(8, 64, log=True),
        "units": Range(8, 256, log=True),
        "l2": Range(0.5, 3.0, log=True),
        "dense_rate": Range(1e-3, 3e-2, log=True),
        "learning_rate": Range(3e-3, 3e-2, log=True),
    }

    embedding: int = Field(default=32, ge=1, le=256, description="Length of the embeddings of users and items.")
    units: int = Field(default=32, ge=2, description="Units of the dense layer on the outer product.")
    initialisation: Literal["inner", "random"] = Field(
        default="inner", description="Initial dense layers: near the inner product of the embeddings, or all random."
    )
    dense_rate: float = Field(
        default=3e-3, ge=0, le=1, description="Step size of the dense layers, as a share of that of the embeddings."
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Share of the units dropped in training.")
    biased: bool = Field(default=True, description="Add a bias of each user and of each item to the rating.")
    l2: float = Field(default=1.25, ge=0, description="Weight of the squared embeddings; damping scales it.")
    damping: float = Field(
        default=0.5, ge=0, le=1, description="l2 is multiplied by n ** (1 - damping) for a user or item with n ratings."
    )
    bias_l2: float = Field(default=1e-3, ge=0, description="Weight of the squared biases, counted once per rating.")
    start: float = Field(default=3.6, description="Initial prediction, about the mean rating.")
    epochs: int = Field(default=60, ge=1, le=10_000, description="Maximum number of passes over the data.")
    batch_rows: int = Field(default=32, ge=1, description="Rows in a step, over all processes.")
    learning_rate: float = Field(default=0.01, gt=0, description="Largest step size of the optimiser.")
    average: float = Field(
        default=0.99, ge=0, lt=1, description="Decay per step of the running average of the weights; 0: no average."
    )
