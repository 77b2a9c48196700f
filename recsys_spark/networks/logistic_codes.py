"""Codes of rows that a factorisation of plays was not trained on: logistic regression on the column vectors, which do
not move.
"""

import torch
from torch import Tensor

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.ridge import SMALLEST_RIDGE, squares_of_rows

__all__ = ["logistic_codes"]

# Each takes two products with all column vectors; more order the best columns little better.
STEPS = 10
BLOCK_SCORES = 1 << 22


def logistic_codes(batch: Batch, vectors: Tensor, biases: Tensor, ridge: Tensor, steps: int = STEPS) -> Tensor:
    """For each row of n entries the x that minimises, as far as `steps` take it, (n_rows, h):

    the sum of softplus(-s) over its entries + n / n_columns times that of softplus(s) over all columns + ridge . x^2,

    with s = x . v + the column's bias: logistic factorisation (Johnson 2014) with all negatives that could be drawn.
    vectors (n_columns, h), biases (n_columns,), ridge (n_rows, h). Each step is Newton's with the largest curvature
    that a logistic has, a quarter, in place of the true one (Boehning and Lindsay 1988): none makes it worse, and the
    systems are decomposed once. A row without entries has a code of zero.
    """
    ridge = ridge.clamp_min(SMALLEST_RIDGE)
    shares = (batch.lengths() / batch.n_columns).to(vectors.dtype)
    known = vectors[batch.indices]
    squares = squares_of_rows(batch, known) + shares[:, None, None] * (vectors.T @ vectors)
    factors = torch.linalg.cholesky((squares / 4 + torch.diag_embed(2 * ridge)).double())
    codes = vectors.new_zeros(len(batch), vectors.shape[1])
    for _ in range(steps):
        slope = _pulls(batch, known, biases, codes) - _pushes(vectors, biases, shares, codes) - 2 * ridge * codes
        codes = codes + torch.cholesky_solve(slope.double()[:, :, None], factors)[:, :, 0].to(codes.dtype)
    return codes


def _pulls(batch: Batch, known: Tensor, biases: Tensor, codes: Tensor) -> Tensor:
    """The slope of what the entries say, (n_rows, h)."""
    row = batch.entry_rows()
    pulls = torch.sigmoid(-((codes[row] * known).sum(1) + biases[batch.indices]))
    return torch.zeros_like(codes).index_add_(0, row, pulls[:, None] * known)


def _pushes(vectors: Tensor, biases: Tensor, shares: Tensor, codes: Tensor) -> Tensor:
    """The slope of what all columns say, (n_rows, h); scores of a bounded number of pairs exist at once."""
    slope = torch.zeros_like(codes)
    width = max(1, BLOCK_SCORES // max(1, len(codes)))
    for start in range(0, len(vectors), width):
        block = vectors[start : start + width]
        slope += torch.sigmoid(codes @ block.T + biases[start : start + width]) @ block
    return shares[:, None] * slope
