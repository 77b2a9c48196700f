"""The first layer of a network, and what is done to sparse rows before it: all on their entries alone.

A row of a play matrix has a hundred entries among 100,000 columns. Its product with the weights is a weighted sum of
a hundred rows of them, so no batch is ever written out in full. The gradient of the weights is dense nevertheless:
the optimisers and the all-reduce of several processes want it so.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys_spark.networks.batch import Batch

__all__ = ["SparseLinear", "drop_entries", "unit_rows"]


class SparseLinear(nn.Module):
    """X W + b for sparse rows X, with W of shape (n_columns, width).

    W starts uniform within sqrt(6 / (fan_in + width)) of zero (Glorot and Bengio 2010) and b at zero. `fan_in` is
    n_columns unless given: where inputs are not scaled down, the usual number of entries in a row keeps the first
    codes of the order of one.
    """

    def __init__(self, n_columns: int, width: int, bias: bool = True, fan_in: int | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_columns, width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None
        limit = (6 / ((n_columns if fan_in is None else fan_in) + width)) ** 0.5
        nn.init.uniform_(self.weight, -limit, limit)

    def forward(self, batch: Batch) -> Tensor:
        """(n, width) of the rows of a batch; a row without entries gives the bias."""
        product = functional.embedding_bag(
            batch.indices,
            self.weight,
            batch.indptr,
            mode="sum",
            per_sample_weights=batch.values.to(self.weight.dtype),
            include_last_offset=True,
        )
        return product if self.bias is None else product + self.bias

    def dense(self, x: Tensor) -> Tensor:
        """The same of rows in full: (n, n_columns) to (n, width)."""
        return x @ self.weight if self.bias is None else torch.addmm(self.bias, x, self.weight)


def unit_rows(batch: Batch) -> Batch:
    """The batch with every row divided by its Euclidean norm; rows of zeros stay as they are."""
    norms = batch.row_sums(batch.values.square()).sqrt().clamp_min(1e-12)
    return batch.with_values(batch.values / norms[batch.entry_rows()])


def drop_entries(batch: Batch, share: float, training: bool) -> Batch:
    """The batch in which that share of entries is zero, at random, and the others are divided by 1 - share.

    The same as dropout on rows in full, whose zeros it would not change. Outside of training the batch itself.
    """
    return batch.with_values(functional.dropout(batch.values, share)) if training and share else batch
