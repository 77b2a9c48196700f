"""Settings of the kind `cdae`."""

from typing import ClassVar

from pydantic import Field

from recsys_spark.core.search_space import Choice, Range, SearchSpace
from recsys_spark.networks.settings.side_information import SideSettings

__all__ = ["CdaeSettings"]


class CdaeSettings(SideSettings):
    """Settings of CDAE, tuned on the validation data of MovieLens-1M.

    There the running average and weight decay gain 0.011 NDCG@10.
    """

    search_space: ClassVar[SearchSpace] = {
        "learning_rate": Range(1e-3, 1e-2, log=True),
        "dropout": Range(0.2, 0.8),
        "units": Range(50, 400, log=True),
        "weight_decay": Range(1e-3, 1.0, log=True),
        "schedule": Choice(("constant", "cosine")),
    }

    batch_rows: int = Field(default=100, ge=1, description="Rows in a step, over all processes.")
    learning_rate: float = Field(default=4e-3, gt=0, description="Largest step size of the optimiser.")
    average: float = Field(
        default=0.99, ge=0, lt=1, description="Decay per step of the running average of the weights; 0: no average."
    )
    weight_decay: float = Field(
        default=0.3,
        ge=0,
        description="Decoupled weight decay (AdamW): share of all weights lost per step, times the step size.",
    )
    units: int = Field(default=200, ge=1, description="Units of the hidden layer.")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="Share of the input entries dropped in training.")
