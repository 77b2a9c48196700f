"""Codes of rows that a factorisation was not trained on: least squares on the column vectors, which do not move."""

from itertools import pairwise

import torch
from torch import Tensor

from recsys_spark.networks.batch import Batch

__all__ = ["SMALLEST_RIDGE", "ridge_codes", "squares_of_rows"]

# What keeps a row without entries solvable: its code is zero.
SMALLEST_RIDGE = 1e-6


def ridge_codes(batch: Batch, vectors: Tensor, targets: Tensor, ridge: Tensor) -> Tensor:
    """For each row the x that minimises sum (targets - x . v)^2 + ridge . x^2 over its entries, (n_rows, h).

    vectors (n_columns, h), targets (nnz,), ridge (n_rows, h).
    """
    known = vectors[batch.indices]
    right = vectors.new_zeros(len(batch), vectors.shape[1])
    right.index_add_(0, batch.entry_rows(), targets[:, None] * known)
    systems = squares_of_rows(batch, known) + torch.diag_embed(ridge.clamp_min(SMALLEST_RIDGE))
    codes: Tensor = torch.linalg.solve(systems.double(), right.double()[:, :, None])[:, :, 0].to(vectors.dtype)
    return codes


def squares_of_rows(batch: Batch, known: Tensor) -> Tensor:
    """V^T V of each row, with V the vectors of its entries, (n_rows, h, h); known (nnz, h) are those of all entries."""
    squares = known.new_zeros(len(batch), known.shape[1], known.shape[1])
    for row, (begin, end) in enumerate(pairwise(batch.indptr.tolist())):
        squares[row] = known[begin:end].T @ known[begin:end]
    return squares
