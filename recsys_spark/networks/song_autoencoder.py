"""Autoencoder of a karaoke app, whose codes are features for predicting the gender of users.

The defaults are the app's: binary input (songs sung, without counts), one relu layer, binary cross-entropy, 50 epochs.
Two other settings give better codes for prediction. Histories of about 20 items: `loss` multinomial and `dropout` 0.7.
Long histories: the denoising autoencoder of Liang et al. 2018, with `normalise_input`, `dropout` 0.5, `activation`
tanh, and more epochs than recommendation needs; without a split, training uses all epochs.
"""

from typing import ClassVar

from torch import Tensor, nn

from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Loss, Network, Shape
from recsys_spark.networks.output_layer import bce_loss, multinomial_loss
from recsys_spark.networks.settings.song_autoencoder import SongAutoencoderSettings
from recsys_spark.networks.sparse_linear import SparseLinear, drop_entries, unit_rows

__all__ = ["SongAutoencoder"]

LOSSES = {"bce": bce_loss, "multinomial": multinomial_loss}


class SongAutoencoder(Network):
    """Autoencoder n - units - n, whose code is the hidden layer."""

    Settings = SongAutoencoderSettings
    shard_spec: ClassVar[ShardSpec] = ShardSpec(values="one")
    metric: ClassVar[str] = "ndcg@100"
    settings: SongAutoencoderSettings

    def __init__(self, settings: SongAutoencoderSettings, shape: Shape) -> None:
        super().__init__(settings, shape)
        self.first = SparseLinear(shape.n_columns, settings.units)
        # This layer only holds the weights: the loss multiplies by them.
        self.output = nn.Linear(settings.units, shape.n_columns)
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, batch: Batch, step: int) -> Loss:
        """Return the chosen loss of the whole history, summed over the rows."""
        code = self._code(drop_entries(self._input(batch), self.settings.dropout, self.training))
        loss = LOSSES[self.settings.loss](code, self.output_weight, self.output_bias, batch)
        return Loss(loss, batch.weights.sum())

    def encode(self, batch: Batch) -> Tensor:
        """Return the hidden layer, (n, units)."""
        return self._code(self._input(batch))

    def _input(self, batch: Batch) -> Batch:
        return unit_rows(batch) if self.settings.normalise_input else batch

    def _code(self, batch: Batch) -> Tensor:
        hidden: Tensor = self.first(batch)
        return hidden.relu() if self.settings.activation == "relu" else hidden.tanh()
