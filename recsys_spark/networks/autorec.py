"""AutoRec: autoencoder of observed ratings with one hidden layer (Sedhain et al., WWW 2015).

The output layer starts at zero. So a column without any rating in training keeps weights of exactly zero in every
process, and its prediction is the initial constant of all columns (3 in the paper).
"""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Loss, Network, Shape
from recsys_spark.networks.output_layer import masked_squared_error
from recsys_spark.networks.settings.autorec import AutoRecItemSettings, AutoRecUserSettings
from recsys_spark.networks.settings.network import NetworkSettings
from recsys_spark.networks.sparse_linear import SparseLinear

__all__ = ["AutoRecItem", "AutoRecUser"]


class AutoRecItem(Network):
    """AutoRec whose rows are items and columns are users: r(x) = W sigmoid(V x + mu) + b.

    Minimises the sum over the observed ratings of (r - x)^2, plus l2 / 2 (||W||^2 + ||V||^2). An epoch has this
    penalty once: each rating carries an equal share of its column's. `Loss.count` is the number of ratings in the
    batch, 0 if all its rows are empty.
    """

    Settings: ClassVar[type[NetworkSettings]] = AutoRecItemSettings
    shard_spec: ClassVar[ShardSpec] = ShardSpec(rows="items", values="rating")
    metric: ClassVar[str] = "rmse"
    fold_in: ClassVar[Literal["forward", "none"]] = "none"

    settings: AutoRecItemSettings

    def __init__(self, settings: AutoRecItemSettings, shape: Shape) -> None:
        super().__init__(settings, shape)
        self.encoder = SparseLinear(shape.n_columns, settings.units)
        self.decoder_weight = nn.Parameter(torch.zeros(shape.n_columns, settings.units))
        self.decoder_bias = nn.Parameter(torch.full((shape.n_columns,), settings.start))

    def forward(self, batch: Batch, step: int) -> Loss:
        """Return the squared errors of the batch plus its share of the penalty; `parts` has the errors alone."""
        errors = masked_squared_error(self.encode(batch), self.output_weight, self.output_bias, batch)
        return Loss(errors + self.penalty(batch), self.loss_count(batch), {"squared_error": errors.detach()})

    def loss_count(self, batch: Batch) -> Tensor:
        """Return the number of ratings of counting rows."""
        return (batch.lengths() * batch.weights).sum()

    def penalty(self, batch: Batch) -> Tensor:
        """Return the penalty of the columns that the batch rates, a scalar.

        At every step a penalty of all columns would, through Adam, move rarely rated ones to zero between two of their
        ratings. Columns without any rating, which have no other gradient, are penalised by the batch's share of rows.
        """
        weights = batch.weights.to(self.decoder_bias.dtype)
        rated = torch.zeros_like(self.decoder_bias).index_add_(0, batch.indices, weights[batch.entry_rows()])
        share = weights.sum() / max(self.shape.n_rows, 1)
        shares = torch.where(self.column_counts > 0, rated / self.column_counts.clamp_min(1), share)
        squares = self.encoder.weight.square().sum(1) + self.decoder_weight.square().sum(1)
        return self.settings.l2 / 2 * (shares @ squares)

    def encode(self, batch: Batch) -> Tensor:
        """Return the hidden layer, (n, units)."""
        return torch.sigmoid(self.encoder(batch))

    @property
    def output_weight(self) -> Tensor:
        """Return W, (n_columns, units)."""
        return self.decoder_weight

    @property
    def output_bias(self) -> Tensor:
        """Return b, (n_columns,)."""
        return self.decoder_bias

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        """Yield weights and biases as two groups; weight decay excludes the biases, as the penalty does."""
        yield {"params": [self.encoder.weight, self.decoder_weight]}
        yield {"params": [self.encoder.bias, self.decoder_bias], "weight_decay": 0.0}


class AutoRecUser(AutoRecItem):
    """AutoRec whose rows are users and columns are items.

    A forward pass encodes histories not seen in training.
    """

    Settings: ClassVar[type[NetworkSettings]] = AutoRecUserSettings
    shard_spec: ClassVar[ShardSpec] = ShardSpec(rows="users", values="rating")
    fold_in: ClassVar[Literal["forward", "none"]] = "forward"
