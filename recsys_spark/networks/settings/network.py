"""Training settings common to all networks."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from recsys_spark.core.search_space import SearchSpace

__all__ = ["NetworkSettings"]


class NetworkSettings(BaseModel):
    """Training settings common to all networks; each network sets its own defaults."""

    search_space: ClassVar[SearchSpace] = {}

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(default=30, ge=1, le=10_000, description="Maximum number of passes over the data.")
    batch_rows: int = Field(default=256, ge=1, description="Rows in a step, over all processes.")
    learning_rate: float = Field(default=1e-3, gt=0, description="Largest step size of the optimiser.")
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="Step size over time: constant, or falling to zero along a cosine."
    )
    weight_decay: float = Field(
        default=0.0,
        ge=0,
        description="Decoupled weight decay (AdamW): share of all weights lost per step, times the step size.",
    )
    decay_steps: int = Field(
        default=64,
        ge=0,
        description="Steps in an epoch up to which weight_decay holds. In an epoch of more steps it is smaller in"
        " proportion, so that weights lose the same share between two visits of a row; 0: it always holds.",
    )
    average: float = Field(
        default=0.0, ge=0, lt=1, description="Decay per step of the running average of the weights; 0: no average."
    )
    patience: int = Field(
        default=5,
        ge=0,
        description="Epochs without a better validation metric before training stops; 0: never stop early.",
    )
    clip_norm: float = Field(default=0.0, ge=0, description="Largest norm of the gradient; 0: no clipping.")
