"""First layer of a network and preprocessing of its sparse rows.

A row of a play matrix has a hundred entries among 100,000 columns. Its product with the weights is a weighted sum of
a hundred rows of them, so no batch is made dense. The gradient of the weights is dense, because the optimisers and
the all-reduce of several processes require it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys_spark.networks.batch import Batch

__all__ = ["SparseLinear", "drop_entries", "unit_rows"]


class SparseLinear(nn.Module):
    """Linear layer X W + b for sparse rows X.

    W has the shape (n_columns, width). It starts uniform within sqrt(6 / (fan_in + width)) of zero (Glorot and Bengio
    2010) and b at zero. `fan_in` is n_columns by default. If inputs are not scaled down, pass the usual number of
    entries in a row, which keeps the first codes of the order of one.
    """

    def __init__(self, n_columns: int, width: int, bias: bool = True, fan_in: int | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_columns, width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None
        limit = (6 / ((n_columns if fan_in is None else fan_in) + width)) ** 0.5
        nn.init.uniform_(self.weight, -limit, limit)

    def forward(self, batch: Batch) -> Tensor:
        """Return X W + b for the rows of a batch, (n, width); the bias for a row without entries."""
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
        """Return X W + b for dense rows (n, n_columns), (n, width)."""
        return x @ self.weight if self.bias is None else torch.addmm(self.bias, x, self.weight)


def unit_rows(batch: Batch) -> Batch:
    """Return the batch with every row divided by its Euclidean norm; zero rows stay zero."""
    norms = batch.row_sums(batch.values.square()).sqrt().clamp_min(1e-12)
    return batch.with_values(batch.values / norms[batch.entry_rows()])


def drop_entries(batch: Batch, share: float, training: bool) -> Batch:
    """Return the batch after dropout of its entries in training mode, the batch itself otherwise.

    A random share of the entries becomes zero and the others are divided by 1 - share. The result equals dropout on
    dense rows, which does not change zeros.
    """
    return batch.with_values(functional.dropout(batch.values, share)) if training and share else batch
