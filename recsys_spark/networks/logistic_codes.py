"""Codes of rows that a factorisation of plays was not trained on: logistic regression on the column vectors, which do
not move.
"""

from itertools import pairwise

import torch
from torch import Tensor

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.ridge import SMALLEST_RIDGE

__all__ = ["logistic_codes"]

# Enough for the order of the best columns; each takes two products with all column vectors.
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
    factors = torch.linalg.cholesky(_curvature(batch, vectors, shares, ridge).double())
    codes = vectors.new_zeros(len(batch), vectors.shape[1])
    for _ in range(steps):
        slope = _slope(batch, vectors, biases, shares, codes) - 2 * ridge * codes
        codes = codes + torch.cholesky_solve(slope.double()[:, :, None], factors)[:, :, 0].to(codes.dtype)
    return codes


def _curvature(batch: Batch, vectors: Tensor, shares: Tensor, ridge: Tensor) -> Tensor:
    systems = shares[:, None, None] * (vectors.T @ vectors)
    for row, (begin, end) in enumerate(pairwise(batch.indptr.tolist())):
        known = vectors[batch.indices[begin:end]]
        systems[row] += known.T @ known
    return systems / 4 + torch.diag_embed(2 * ridge)


def _slope(batch: Batch, vectors: Tensor, biases: Tensor, shares: Tensor, codes: Tensor) -> Tensor:
    """Of what the entries and all columns say, (n_rows, h); scores of a bounded number of pairs exist at once."""
    row = batch.entry_rows()
    known = vectors[batch.indices]
    pulls = torch.sigmoid(-((codes[row] * known).sum(1) + biases[batch.indices]))
    slope = torch.zeros_like(codes).index_add_(0, row, pulls[:, None] * known)
    width = max(1, BLOCK_SCORES // max(1, len(batch)))
    for start in range(0, batch.n_columns, width):
        block = vectors[start : start + width]
        pushes = torch.sigmoid(codes @ block.T + biases[start : start + width])
        slope -= shares[:, None] * (pushes @ block)
    return slope
