"""Settings of the kinds `autorec_item` and `autorec_user`."""

from typing import ClassVar

from pydantic import Field

from recsys_spark.core.search_space import Range, SearchSpace
from recsys_spark.networks.settings.network import NetworkSettings

__all__ = ["AutoRecItemSettings", "AutoRecUserSettings"]


class AutoRecItemSettings(NetworkSettings):
    """Settings of AutoRecItem; the defaults reach the paper's error on MovieLens-1M."""

    search_space: ClassVar[SearchSpace] = {
        "learning_rate": Range(3e-4, 3e-3, log=True),
        "l2": Range(10.0, 1000.0, log=True),
        "units": Range(100, 800, log=True),
    }

    units: int = Field(default=500, ge=1, description="Width of the hidden layer, which is the code.")
    l2: float = Field(
        default=300.0,
        ge=0,
        description="L2 penalty: weight of half the squared weights relative to the summed squared errors.",
    )
    start: float = Field(
        default=3.6,
        description="Initial prediction, about the mean rating; columns without ratings keep it.",
    )
    epochs: int = Field(default=26, ge=1, le=10_000, description="Maximum number of passes over the data.")
    average: float = Field(
        default=0.98, ge=0, lt=1, description="Decay per step of the running average of the weights; 0: no average."
    )


class AutoRecUserSettings(AutoRecItemSettings):
    """Settings of AutoRecUser.

    Users have fewer ratings than items: the error on other ratings rises again after about 15 epochs.
    """

    l2: float = Field(
        default=100.0,
        ge=0,
        description="L2 penalty: weight of half the squared weights relative to the summed squared errors.",
    )
    epochs: int = Field(default=15, ge=1, le=10_000, description="Maximum number of passes over the data.")
