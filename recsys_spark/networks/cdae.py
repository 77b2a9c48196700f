"""CDAE (Wu et al. 2016): a denoising autoencoder with one hidden layer, to which every row adds a vector of its own.

The vector of a row lets two users of the same history differ, and costs what it costs in any factorisation: its
gradient is as tall as the matrix, at every step. That is as much as the other layers pay for their columns, so it is
bearable while rows are not many times the columns; a sparse gradient would save it, but neither optimisers, running
averages nor the all-reduce take one.
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
    """What MovieLens-1M likes: on its validation data averaged, decaying weights gain 0.011 NDCG@10."""

    search_space: ClassVar[SearchSpace] = {
        "learning_rate": Range(1e-3, 1e-2, log=True),
        "dropout": Range(0.2, 0.8),
        "units": Range(50, 400, log=True),
        "weight_decay": Range(1e-3, 1.0, log=True),
        "schedule": Choice(("constant", "cosine")),
    }

    batch_rows: int = Field(default=100, ge=1, description="Rows of a step, over all processes.")
    learning_rate: float = Field(default=4e-3, gt=0, description="Step size of the optimiser at its largest.")
    average: float = Field(
        default=0.99, ge=0, lt=1, description="Keep a running average of the weights with this decay a step; 0: none."
    )
    weight_decay: float = Field(default=0.3, ge=0, description="Decay of all weights by the optimiser (AdamW).")
    units: int = Field(default=200, ge=1, description="Units of the hidden layer.")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="Share of the input entries dropped in training.")


class Cdae(WithSideInformation):
    """sigmoid(W x + vector of the row + what its user's profile says) as the code, binary cross-entropy over all
    columns.
    """

    Settings = CdaeSettings
    shard_spec: ClassVar[ShardSpec] = ShardSpec(values="one")
    metric: ClassVar[str] = "ndcg@100"
    settings: CdaeSettings

    def __init__(self, settings: CdaeSettings, shape: Shape) -> None:
        super().__init__(settings, shape)
        self.first = SparseLinear(shape.n_columns, settings.units)
        self.row_vectors = nn.Embedding(shape.n_rows, settings.units)
        # Holds the weights only: the output layer is multiplied together with its loss.
        self.output = nn.Linear(settings.units, shape.n_columns)
        # From zero, so that rows that were never trained on have the code of an unseen history.
        nn.init.zeros_(self.row_vectors.weight)
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        self.make_side(settings.units)

    def forward(self, batch: Batch, step: int) -> Loss:
        """Cross-entropy of the whole history, rebuilt from what is left of it, summed over columns and rows."""
        code = self.encode_trained(drop_entries(batch, self.settings.dropout, self.training))
        loss = bce_loss(code, self.output_weight, self.output_bias, batch)
        return Loss(loss, batch.weights.sum())

    def encode(self, batch: Batch) -> Tensor:
        """(n, units) of histories alone, which may be of anyone."""
        return torch.sigmoid(self.first(batch))

    def encode_trained(self, batch: Batch) -> Tensor:
        """(n, units) with the vectors of batch.rows, which have to be rows of the matrix it was made for."""
        return torch.sigmoid(self.with_side(self.first(batch) + self.row_vectors(batch.rows), batch))
