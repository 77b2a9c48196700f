"""Settings of the kind `song_autoencoder`."""

from typing import ClassVar, Literal

from pydantic import Field

from recsys_spark.core.search_space import Choice, Range, SearchSpace
from recsys_spark.networks.settings.network import NetworkSettings

__all__ = ["SongAutoencoderSettings"]


class SongAutoencoderSettings(NetworkSettings):
    """Settings of SongAutoencoder; the defaults are those of the karaoke app."""

    search_space: ClassVar[SearchSpace] = {
        "learning_rate": Range(3e-4, 5e-3, log=True),
        "dropout": Range(0.0, 0.8),
        "units": Range(100, 800, log=True),
        "loss": Choice(("bce", "multinomial")),
    }

    epochs: int = Field(default=50, ge=1, le=10_000, description="Maximum number of passes over the data.")
    units: int = Field(
        default=500, ge=1, description="Units of the hidden layer, which are the dimensions of the code."
    )
    activation: Literal["relu", "tanh"] = Field(default="relu", description="Activation of the hidden layer.")
    loss: Literal["bce", "multinomial"] = Field(
        default="bce", description="bce: binary cross-entropy of each song; multinomial: one softmax over all songs."
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Share of the input entries dropped in training.")
    normalise_input: bool = Field(default=False, description="Scale the input of every user to unit length.")
