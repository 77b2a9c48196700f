"""The autoencoder of a karaoke app, whose code of a user's songs predicts who the user is.

The defaults are the app's: which songs were sung (not how often), one relu layer, binary cross-entropy, 50 epochs. A
better code for prediction comes from `loss` multinomial and much `dropout`, 0.7 on histories of some 20 items; or, on
long ones, from the denoising autoencoder of Liang et al. 2018: `normalise_input`, `dropout` 0.5, `activation` tanh too,
and more epochs than recommending wants: without a split it trains for all of them.
"""

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from recsys_spark.core.search_space import Choice, Range, SearchSpace
from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Loss, Network, NetworkSettings, Shape
from recsys_spark.networks.output_layer import bce_loss, multinomial_loss
from recsys_spark.networks.sparse_linear import SparseLinear, drop_entries, unit_rows

__all__ = ["SongAutoencoder", "SongAutoencoderSettings"]

LOSSES = {"bce": bce_loss, "multinomial": multinomial_loss}


class SongAutoencoderSettings(NetworkSettings):
    """What the app used."""

    search_space: ClassVar[SearchSpace] = {
        "learning_rate": Range(3e-4, 5e-3, log=True),
        "dropout": Range(0.0, 0.8),
        "units": Range(100, 800, log=True),
        "loss": Choice(("bce", "multinomial")),
    }

    epochs: int = Field(default=50, ge=1, le=10_000, description="Passes over the data at most.")
    units: int = Field(default=500, ge=1, description="Units of the hidden layer, the dimensions of the code.")
    activation: Literal["relu", "tanh"] = Field(default="relu", description="What the hidden layer ends in.")
    loss: Literal["bce", "multinomial"] = Field(
        default="bce", description="Each song a yes or no (bce), or one softmax over all songs (multinomial)."
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Share of the input entries dropped in training.")
    normalise_input: bool = Field(default=False, description="Scale every user's songs to a vector of length one.")


class SongAutoencoder(Network):
    """n - units - n; the code is the hidden layer."""

    Settings = SongAutoencoderSettings
    shard_spec: ClassVar[ShardSpec] = ShardSpec(values="one")
    metric: ClassVar[str] = "ndcg@100"
    settings: SongAutoencoderSettings

    def __init__(self, settings: SongAutoencoderSettings, shape: Shape) -> None:
        super().__init__(settings, shape)
        self.first = SparseLinear(shape.n_columns, settings.units)
        # Holds the weights only: the output layer is multiplied together with its loss.
        self.output = nn.Linear(settings.units, shape.n_columns)
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, batch: Batch, step: int) -> Loss:
        """The chosen loss of the whole history, summed over the rows."""
        code = self._code(drop_entries(self._input(batch), self.settings.dropout, self.training))
        loss = LOSSES[self.settings.loss](code, self.output_weight, self.output_bias, batch)
        return Loss(loss, batch.weights.sum())

    def encode(self, batch: Batch) -> Tensor:
        """(n, units)."""
        return self._code(self._input(batch))

    def _input(self, batch: Batch) -> Batch:
        return unit_rows(batch) if self.settings.normalise_input else batch

    def _code(self, batch: Batch) -> Tensor:
        hidden: Tensor = self.first(batch)
        return hidden.relu() if self.settings.activation == "relu" else hidden.tanh()
