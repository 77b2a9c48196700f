"""Codes of rows that a factorisation was not trained on: least squares on the column vectors, which do not move."""

from itertools import pairwise

import torch
from torch import Tensor

from recsys_spark.networks.batch import Batch

__all__ = ["ridge_codes"]

# What keeps a row without entries solvable: its code is zero.
SMALLEST_RIDGE = 1e-6


def ridge_codes(batch: Batch, vectors: Tensor, targets: Tensor, ridge: Tensor) -> Tensor:
    """For each row the x that minimises sum (targets - x . v)^2 + ridge . x^2 over its entries, (n_rows, h).

    vectors (n_columns, h), targets (nnz,), ridge (n_rows, h).
    """
    width = vectors.shape[1]
    systems = vectors.new_zeros(len(batch), width, width)
    right = vectors.new_zeros(len(batch), width)
    edges = batch.indptr.tolist()
    for row, (begin, end) in enumerate(pairwise(edges)):
        known = vectors[batch.indices[begin:end]]
        systems[row] = known.T @ known
        right[row] = targets[begin:end] @ known
    systems += torch.diag_embed(ridge.clamp_min(SMALLEST_RIDGE))
    codes: Tensor = torch.linalg.solve(systems.double(), right.double()[:, :, None])[:, :, 0].to(vectors.dtype)
    return codes
