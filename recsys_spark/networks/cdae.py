"""CDAE: denoising autoencoder with one hidden layer and one vector per user (Wu et al. 2016).

The vector of a row lets two users with the same history differ. Its gradient has as many rows as the matrix at every
step, as in any factorisation. The other layers have gradients with one row per column, so the cost is acceptable
while rows are not many times the columns. Sparse gradients would avoid it, but the optimisers, the running average
and the all-reduce do not support them.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Loss, Shape
from recsys_spark.networks.output_layer import bce_loss
from recsys_spark.networks.settings.cdae import CdaeSettings
from recsys_spark.networks.side_information import WithSideInformation
from recsys_spark.networks.sparse_linear import SparseLinear, drop_entries

__all__ = ["Cdae"]


class Cdae(WithSideInformation):
    """CDAE with binary cross-entropy over all columns.

    The code is sigmoid(W x + vector of the row + side information of its user).
    """

    Settings = CdaeSettings
    shard_spec: ClassVar[ShardSpec] = ShardSpec(values="one")
    metric: ClassVar[str] = "ndcg@100"
    settings: CdaeSettings

    def __init__(self, settings: CdaeSettings, shape: Shape) -> None:
        super().__init__(settings, shape)
        self.first = SparseLinear(shape.n_columns, settings.units)
        self.row_vectors = nn.Embedding(shape.n_rows, settings.units)
        # This layer only holds the weights: bce_loss multiplies by them.
        self.output = nn.Linear(settings.units, shape.n_columns)
        # Zero, so that rows without training data have the code of an unseen history.
        nn.init.zeros_(self.row_vectors.weight)
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        self.init_side_information(settings.units)

    def forward(self, batch: Batch, step: int) -> Loss:
        """Return the cross-entropy of the whole history, reconstructed from its entries after dropout.

        It is summed over columns and rows.
        """
        code = self.encode_trained(drop_entries(batch, self.settings.dropout, self.training))
        loss = bce_loss(code, self.output_weight, self.output_bias, batch)
        return Loss(loss, batch.weights.sum())

    def encode(self, batch: Batch) -> Tensor:
        """Return codes of histories alone, (n, units), for rows seen in training or not."""
        return torch.sigmoid(self.first(batch))

    def encode_trained(self, batch: Batch) -> Tensor:
        """Return codes with row vectors, (n, units); batch.rows must be rows of the training matrix."""
        return torch.sigmoid(self.add_side_information(self.first(batch) + self.row_vectors(batch.rows), batch))
