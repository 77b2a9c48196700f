"""Settings of the kind `svae`."""

from typing import ClassVar, Literal

from pydantic import Field

from recsys_spark.core.search_space import Choice, Range, SearchSpace
from recsys_spark.networks.settings.network import NetworkSettings

__all__ = ["SvaeSettings"]


class SvaeSettings(NetworkSettings):
    """Settings of SVAE: the paper's layers, tuned on the validation data of MovieLens-1M.

    A batch of 24 histories has about 2,500 items there. Few epochs with large step sizes that fall to zero, averaged
    weights and strong weight decay gain 0.015 NDCG@100.
    """

    search_space: ClassVar[SearchSpace] = {
        "learning_rate": Range(5e-4, 5e-3, log=True),
        "beta": Range(5e-4, 0.05, log=True),
        "weight_decay": Range(1e-3, 0.5, log=True),
        "schedule": Choice(("constant", "cosine")),
    }

    embedding: int = Field(default=256, ge=1, description="Width of the item embeddings that the GRU reads.")
    recurrent: int = Field(default=200, ge=1, description="Width of the GRU.")
    hidden: int = Field(default=150, ge=1, description="Width of the layers before and after the latent code.")
    latent: int = Field(default=64, ge=1, description="Width of the latent code.")
    next_items: int = Field(default=4, ge=1, description="Number of following items that each position predicts.")
    max_length: int = Field(default=400, ge=2, description="Maximum number of items of a history; the latest are kept.")
    beta: float = Field(default=0.005, ge=0, description="Largest weight of the Kullback-Leibler divergence.")
    anneal_steps: int = Field(default=1000, ge=0, description="Steps in which beta grows linearly from 0.")
    epochs: int = Field(default=6, ge=1, le=10_000, description="Maximum number of passes over the data.")
    schedule: Literal["constant", "cosine"] = Field(
        default="cosine", description="Step size over time: constant, or falling to zero along a cosine."
    )
    average: float = Field(
        default=0.99, ge=0, lt=1, description="Decay per step of the running average of the weights; 0: no average."
    )
    batch_rows: int = Field(default=24, ge=1, description="Rows in a step, over all processes.")
    learning_rate: float = Field(default=4e-3, gt=0, description="Largest step size of the optimiser.")
    weight_decay: float = Field(
        default=0.2,
        ge=0,
        description="Decoupled weight decay (AdamW): share of all weights lost per step, times the step size.",
    )
    decay_steps: int = Field(
        default=200,
        ge=0,
        description="Steps in an epoch up to which weight_decay holds. In an epoch of more steps it is smaller in"
        " proportion, so that weights lose the same share between two visits of a row; 0: it always holds.",
    )
