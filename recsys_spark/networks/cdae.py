"""CDAE (Wu et al. 2016): a denoising autoencoder with one hidden layer, to which every row adds a vector of its own.

The vector of a row lets two users of the same history differ, and costs what it costs in any factorisation: its
gradient is as tall as the matrix, at every step. That is as much as the other layers pay for their columns, so it is
bearable while rows are not many times the columns; a sparse gradient would save it, but neither optimiser, running
averages nor the all-reduce take one.
"""

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Loss, Network, NetworkSettings, Shape
from recsys_spark.networks.output_layer import bce_loss
from recsys_spark.networks.sparse_linear import SparseLinear, drop_entries
from recsys_spark.recipe import Recipe

__all__ = ["Cdae", "CdaeSettings"]


class CdaeSettings(NetworkSettings):
    """What MovieLens-1M likes."""

    batch_rows: int = Field(default=100, ge=1, description="Rows of a step, over all processes.")
    learning_rate: float = Field(default=4e-3, gt=0, description="Step size of the optimiser at its largest.")
    units: int = Field(default=200, ge=1, description="Units of the hidden layer.")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="Share of the input entries dropped in training.")


class Cdae(Network):
    """sigmoid(W x + vector of the row) as the code, binary cross-entropy over all columns.

    `row_embedding` says that the code of a row seen in training is `encode(batch, with_rows=True)`.
    """

    Settings = CdaeSettings
    recipe: ClassVar[Recipe] = Recipe(values="one")
    metric: ClassVar[str] = "ndcg@100"
    row_embedding: ClassVar[bool] = True
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

    def forward(self, batch: Batch, step: int) -> Loss:
        """Cross-entropy of the whole history, rebuilt from what is left of it, summed over columns and rows."""
        code = self.encode(drop_entries(batch, self.settings.dropout, self.training), with_rows=True)
        loss = bce_loss(code, self.output_weight, self.output_bias, batch)
        return Loss(loss, batch.weights.sum())

    def encode(self, batch: Batch, with_rows: bool = False) -> Tensor:
        """(n, units) of histories alone, which may be of anyone; `with_rows` adds the vectors of batch.rows.

        Then every row must be one of the matrix that the network was made for, and only rows seen in training gain by
        it.
        """
        hidden: Tensor = self.first(batch)
        return (hidden + self.row_vectors(batch.rows) if with_rows else hidden).sigmoid()

    def encode_trained(self, batch: Batch) -> Tensor:
        """(n, units) of rows seen in training, with their vectors."""
        return self.encode(batch, with_rows=True)

    @property
    def output_weight(self) -> Tensor:
        """(n_columns, units)."""
        return self.output.weight

    @property
    def output_bias(self) -> Tensor:
        """(n_columns,)."""
        return self.output.bias
