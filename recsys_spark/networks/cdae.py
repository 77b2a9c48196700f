"""CDAE: denoising autoencoder with one hidden layer and one vector per user (Wu et al. 2016).

The vector of a row lets two users with the same history differ. Its gradient has as many rows as the matrix at every
step, as in any factorisation. The other layers have gradients with one row per column, so the cost is acceptable
while rows are not many times the columns. Sparse gradients would avoid it, but the optimisers, the running average
and the all-reduce do not support them.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from recsys_spark.core.search_space import Choice, Range, SearchSpace
from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Loss, Shape
from recsys_spark.networks.output_layer import bce_loss
from recsys_spark.networks.side_information import SideSettings, WithSideInformation
from recsys_spark.networks.sparse_linear import SparseLinear, drop_entries

__all__ = ["Cdae", "CdaeSettings"]


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
