"""DeepRec: deep autoencoder of ratings with SELU and strong dropout on the code (Kuchaiev and Ginsburg 2017).

The paper makes two updates per batch: one on the ratings, one on the output fed again as a complete row. Here both
losses make one update, so that a step is the same for every network. As in AutoRec the output layer starts at zero,
and columns without any rating in training stay there.

The paper's layers (512, 512, 1024 with dropout 0.8, for a hundred times the ratings) overfit MovieLens-1M within a few
epochs. On its validation data smaller layers, strong weight decay, averaged weights and step sizes that fall to zero
are better.
"""

from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from recsys_spark.core.errors import ConfigError
from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Loss, Network, Shape
from recsys_spark.networks.output_layer import masked_squared_error
from recsys_spark.networks.settings.deeprec import DeepRecSettings
from recsys_spark.networks.settings.network import NetworkSettings
from recsys_spark.networks.sparse_linear import SparseLinear

__all__ = ["DeepRec"]

# Cells of a dense batch: 256 MiB of float32. Re-feeding holds several such arrays at once.
LARGEST_DENSE_BATCH = 2**26


class DeepRec(Network):
    """DeepRec: n, the layers, the mirrored layers without the last, n; SELU in all layers but the linear last one.

    Minimises the mean squared error of the observed ratings. With `refeed` it adds the mean over all columns of
    (f(f(x)) - f(x))^2, with f(x) as a constant. Raises ConfigError if re-feeding would need dense batches of more
    than 2^26 cells.
    """

    Settings: ClassVar[type[NetworkSettings]] = DeepRecSettings
    shard_spec: ClassVar[ShardSpec] = ShardSpec(rows="users", values="rating")
    metric: ClassVar[str] = "rmse"
    fold_in: ClassVar[Literal["forward", "none"]] = "forward"
    width_setting: ClassVar[str] = "layers"

    settings: DeepRecSettings

    def __init__(self, settings: DeepRecSettings, shape: Shape) -> None:
        super().__init__(settings, shape)
        cells = settings.batch_rows * shape.n_columns
        if settings.refeed and cells > LARGEST_DENSE_BATCH:
            raise ConfigError(
                f"models.deeprec.refeed: dense batches of {settings.batch_rows} rows x {shape.n_columns:,} columns "
                f"have {cells:,} cells, more than {LARGEST_DENSE_BATCH:,}: set it to false, or lower "
                "models.deeprec.batch_rows"
            )
        first, *_ = widths = settings.layers
        self.first = SparseLinear(shape.n_columns, first)
        self.encoder = _selu_layers(widths)
        self.dropout = nn.Dropout(settings.dropout)
        self.decoder = _selu_layers(widths[::-1])
        self.decoder_weight = nn.Parameter(torch.zeros(shape.n_columns, first))
        self.decoder_bias = nn.Parameter(torch.full((shape.n_columns,), settings.start))

    def forward(self, batch: Batch, step: int) -> Loss:
        """Return the squared errors, with `refeed` plus the re-feeding error.

        The re-feeding error is multiplied by the number of ratings, so that both have the same weight.
        """
        hidden = self._hidden(self.first(batch))
        errors = masked_squared_error(hidden, self.output_weight, self.output_bias, batch)
        ratings = self.loss_count(batch)
        parts = {"squared_error": errors.detach()}
        if not self.settings.refeed:
            return Loss(errors, ratings, parts)
        again = ratings * self._refeeding_error(self._output(hidden).detach(), batch.weights)
        return Loss(errors + again, ratings, {**parts, "refeeding_error": again.detach()})

    def loss_count(self, batch: Batch) -> Tensor:
        """Return the number of ratings of counting rows."""
        return (batch.lengths() * batch.weights).sum()

    def encode(self, batch: Batch) -> Tensor:
        """Return the innermost layer, (n, layers[-1])."""
        return self._code(self.first(batch))

    def decode(self, code: Tensor) -> Tensor:
        """Return the last hidden layer, (n, layers[0])."""
        hidden: Tensor = self.decoder(code)
        return hidden

    @property
    def output_weight(self) -> Tensor:
        """Return the weights of the last layer, (n_columns, layers[0])."""
        return self.decoder_weight

    @property
    def output_bias(self) -> Tensor:
        """Return the biases of the last layer, (n_columns,)."""
        return self.decoder_bias

    def _refeeding_error(self, rows: Tensor, weights: Tensor) -> Tensor:
        """Return the mean of (f(rows) - rows)^2 over counting rows, with dense rows (n, n_columns)."""
        again = self._output(self._hidden(self.first.dense(rows)))
        return (again - rows).square().mean(dim=1) @ weights / weights.sum().clamp(min=1)

    def _code(self, first: Tensor) -> Tensor:
        code: Tensor = self.encoder(nn.functional.selu(first))
        return code

    def _hidden(self, first: Tensor) -> Tensor:
        return self.decode(self.dropout(self._code(first)))

    def _output(self, hidden: Tensor) -> Tensor:
        return torch.addmm(self.output_bias, hidden, self.output_weight.T)


def _selu_layers(widths: tuple[int, ...]) -> nn.Sequential:
    """Build dense layers of these widths, each followed by SELU.

    The weights have variance 1 / inputs, as self-normalisation requires.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        linear = nn.Linear(inputs, outputs)
        nn.init.normal_(linear.weight, std=inputs**-0.5)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.SELU()]
    return nn.Sequential(*layers)
