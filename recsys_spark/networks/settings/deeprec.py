"""Settings of the kind `deeprec`."""

from typing import ClassVar, Literal

from pydantic import Field

from recsys_spark.core.search_space import Choice, Range, SearchSpace
from recsys_spark.networks.settings.network import NetworkSettings

__all__ = ["DeepRecSettings"]


class DeepRecSettings(NetworkSettings):
    """Settings of DeepRec, tuned on MovieLens-1M; the paper's layers are for the full Netflix data."""

    search_space: ClassVar[SearchSpace] = {
        "learning_rate": Range(1e-4, 1e-2, log=True),
        "weight_decay": Range(0.01, 4.0, log=True),
        "dropout": Range(0.2, 0.9),
        "optimizer": Choice(("adam", "sgd")),
    }

    layers: tuple[int, ...] = Field(
        default=(256, 128),
        min_length=1,
        description="Widths of the encoder layers; the last is the code. The decoder mirrors them.",
    )
    dropout: float = Field(default=0.5, ge=0, lt=1, description="Share of the code dropped in training.")
    refeed: bool = Field(
        default=False,
        description="Feed the output again as a complete row. It needs dense batches: for small catalogues.",
    )
    start: float = Field(
        default=3.6,
        description="Initial prediction, about the mean rating; columns without ratings keep it.",
    )
    optimizer: Literal["adam", "sgd"] = Field(default="adam", description="Optimiser: adam, or sgd with momentum.")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Momentum of sgd.")
    batch_rows: int = Field(default=128, ge=1, description="Rows in a step, over all processes.")
    learning_rate: float = Field(default=2e-3, gt=0, description="Largest step size of the optimiser.")
    schedule: Literal["constant", "cosine"] = Field(
        default="cosine", description="Step size over time: constant, or falling to zero along a cosine."
    )
    average: float = Field(
        default=0.99, ge=0, lt=1, description="Decay per step of the running average of the weights; 0: no average."
    )
    weight_decay: float = Field(
        default=1.0,
        ge=0,
        description="Decoupled weight decay (AdamW): share of all weights lost per step, times the step size.",
    )
