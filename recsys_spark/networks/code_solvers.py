"""Codes of rows not seen in training, solved against fixed column vectors: ridge and logistic regression."""

from itertools import pairwise

import torch
from torch import Tensor

from recsys_spark.networks.batch import Batch

__all__ = ["solve_logistic_codes", "solve_ridge_codes"]

# Lower bound of the ridge: it keeps the system of a row without entries solvable, with a code of zero.
SMALLEST_RIDGE = 1e-6
# Newton steps. Each takes two products with all column vectors; more steps hardly change the order of the best columns.
STEPS = 10
# Scores held in memory at once.
BLOCK_SCORES = 1 << 22


def solve_ridge_codes(batch: Batch, vectors: Tensor, targets: Tensor, ridge: Tensor) -> Tensor:
    """Return the ridge regression code of each row, (n_rows, h).

    A code is the x that minimises sum (targets - x . v)^2 + ridge . x^2 over the entries of its row. Shapes: vectors
    (n_columns, h), targets (nnz,), ridge (n_rows, h).
    """
    entry_vectors = vectors[batch.indices]
    right = vectors.new_zeros(len(batch), vectors.shape[1])
    right.index_add_(0, batch.entry_rows(), targets[:, None] * entry_vectors)
    systems = _gram_matrices(batch, entry_vectors) + torch.diag_embed(ridge.clamp_min(SMALLEST_RIDGE))
    codes: Tensor = torch.linalg.solve(systems.double(), right.double()[:, :, None])[:, :, 0].to(vectors.dtype)
    return codes


def solve_logistic_codes(batch: Batch, vectors: Tensor, biases: Tensor, ridge: Tensor, steps: int = STEPS) -> Tensor:
    """Return the logistic regression code of each row, (n_rows, h), after `steps` Newton steps.

    The code of a row of n entries minimises

    sum over its entries of softplus(-s) + n / n_columns * (sum over all columns of softplus(s)) + ridge . x^2,

    with s = x . v + the column's bias: logistic factorisation (Johnson 2014) with all negatives that could be drawn.
    Shapes: vectors (n_columns, h), biases (n_columns,), ridge (n_rows, h). The curvature of the logistic function is
    replaced by its upper bound, 1/4 (Boehning and Lindsay 1988): the objective never grows, and the systems are
    decomposed once. A row without entries has a code of zero.
    """
    ridge = ridge.clamp_min(SMALLEST_RIDGE)
    shares = (batch.lengths() / batch.n_columns).to(vectors.dtype)
    entry_vectors = vectors[batch.indices]
    squares = _gram_matrices(batch, entry_vectors) + shares[:, None, None] * (vectors.T @ vectors)
    factors = torch.linalg.cholesky((squares / 4 + torch.diag_embed(2 * ridge)).double())
    codes = vectors.new_zeros(len(batch), vectors.shape[1])
    for _ in range(steps):
        entries, columns = (
            _entry_gradient(batch, entry_vectors, biases, codes),
            _column_gradient(vectors, biases, shares, codes),
        )
        gradient = entries - columns - 2 * ridge * codes
        codes = codes + torch.cholesky_solve(gradient.double()[:, :, None], factors)[:, :, 0].to(codes.dtype)
    return codes


def _gram_matrices(batch: Batch, entry_vectors: Tensor) -> Tensor:
    """Return V^T V of each row, (n_rows, h, h); V is its part of `entry_vectors` (nnz, h)."""
    squares = entry_vectors.new_zeros(len(batch), entry_vectors.shape[1], entry_vectors.shape[1])
    for row, (begin, end) in enumerate(pairwise(batch.indptr.tolist())):
        squares[row] = entry_vectors[begin:end].T @ entry_vectors[begin:end]
    return squares


def _entry_gradient(batch: Batch, entry_vectors: Tensor, biases: Tensor, codes: Tensor) -> Tensor:
    """Return the gradient of the log-likelihood of the entries, (n_rows, h)."""
    row = batch.entry_rows()
    residuals = torch.sigmoid(-((codes[row] * entry_vectors).sum(1) + biases[batch.indices]))
    return torch.zeros_like(codes).index_add_(0, row, residuals[:, None] * entry_vectors)


def _column_gradient(vectors: Tensor, biases: Tensor, shares: Tensor, codes: Tensor) -> Tensor:
    """Return the gradient of the softplus terms of all columns, (n_rows, h)."""
    gradient = torch.zeros_like(codes)
    width = max(1, BLOCK_SCORES // max(1, len(codes)))
    for start in range(0, len(vectors), width):
        block = vectors[start : start + width]
        gradient += torch.sigmoid(codes @ block.T + biases[start : start + width]) @ block
    return shares[:, None] * gradient
