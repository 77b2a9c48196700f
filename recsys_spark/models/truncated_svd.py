"""The largest singular values and vectors of a sparse matrix of users by items, by random projection.

A few random directions, taken through the matrix and back a handful of times, come to span nearly what the largest
singular vectors span (Halko, Martinsson and Tropp 2011, algorithms 4.4 and 5.1, on the transposed matrix). Each pass
over the users is one job of sparse products; what is dense has a row an item and lives on the driver.

MLlib has RowMatrix.computeSVD. It is not used: it is reached through RDDs alone, which Spark Connect lacks, its Gram
matrix on the driver takes 8 bytes times the square of the items, and ARPACK's way around that takes a job for each of
some hundred single vectors instead of one for all sixty at once.
"""

import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from scipy import linalg, sparse

from recsys_spark.core.errors import ConfigError, TrainingError
from recsys_spark.models.user_blocks import added_up

__all__ = ["MatrixFacts", "Projection", "TruncatedSvd", "leading_items", "matrix_facts", "truncated_svd"]

Floats = NDArray[np.float64]

# Singular values below this share of the largest are rounding: their directions mean nothing.
SMALLEST = 1e-6


@dataclass(frozen=True)
class MatrixFacts:
    """Of a matrix: n_users (without those who have nothing), and of each item, (n_items,), how many users, the mean
    over all users, and the sum of squares.
    """

    n_users: int
    users: Floats
    mean: Floats
    squares: Floats

    @property
    def limit(self) -> int:
        """The largest rank that the matrix can have."""
        return min(self.n_users, int(np.count_nonzero(self.users)))

    def total(self, center: bool) -> float:
        """The sum of all squared entries, once centred where asked for."""
        return float(self.squares.sum() - (self.n_users * (self.mean**2).sum() if center else 0))


@dataclass(frozen=True)
class Projection:
    """How a decomposition is looked for: `rank` directions, `oversampling` more that help to find them, power
    `iterations`, whether items are centred on their means, and the seed of the first directions.
    """

    rank: int
    oversampling: int
    iterations: int
    center: bool
    seed: int


@dataclass(frozen=True)
class TruncatedSvd:
    """Right singular vectors (n_items, k), orthonormal columns, and singular values (k,), descending; zero where the
    matrix has no such direction.
    """

    items: Floats
    values: Floats


def matrix_facts(blocks: DataFrame, n_items: int, folder: Path) -> MatrixFacts:
    """One pass over user_blocks. Raises TrainingError when there is nothing in them."""
    sums, n_users = added_up(blocks, n_items, _facts, folder)
    if not n_users:
        raise TrainingError(
            "There are no interactions to train on. "
            "Run ingest_plays and build_interactions, or lower the minimum support."
        )
    return MatrixFacts(n_users, sums[0], sums[1] / n_users, sums[2])


def truncated_svd(blocks: DataFrame, facts: MatrixFacts, how: Projection, folder: Path) -> TruncatedSvd:
    """Of the matrix in user_blocks: 2 + how.iterations passes.

    Equal seeds give equal vectors up to rounding, however users are spread; directions of equal singular values are
    not told apart by anything, though. Signs are such that the largest component of each column of `items` is positive.
    The driver holds three arrays of n_items x (rank + oversampling) x 8 bytes, a task two and its users' pairs and
    projections, `folder` one a task. Raises ConfigError for a rank that the matrix cannot have, TrainingError where
    centring leaves nothing.
    """
    if how.rank > facts.limit:
        raise ConfigError(
            f"models.lsa.rank = {how.rank}, but {facts.n_users} users with {np.count_nonzero(facts.users)} items have "
            f"no more than {facts.limit} directions: lower it to at most {facts.limit}"
        )
    if facts.total(how.center) <= 1e-12 * facts.total(False):
        raise TrainingError("All users are alike, so centring leaves nothing: set models.lsa.center to false.")
    width = min(how.rank + how.oversampling, facts.limit)
    basis = np.random.default_rng(how.seed).standard_normal((facts.users.size, width))
    for _ in range(how.iterations + 1):
        product = _pass(blocks, facts, basis, how.center, _round_trip, folder)
        basis = linalg.qr(product, mode="economic", overwrite_a=True, check_finite=False)[0]
    squares, turn = np.linalg.eigh(_pass(blocks, facts, basis, how.center, _gram, folder))
    values = np.sqrt(np.maximum(squares[::-1][: how.rank], 0))
    values[values < SMALLEST * values[0]] = 0
    return _settled(basis @ turn[:, ::-1][:, : how.rank], values, facts)


def leading_items(items: Floats) -> NDArray[np.intp]:
    """Of each column the first item whose component is, but for rounding, the largest."""
    sizes = np.abs(items)
    first: NDArray[np.intp] = np.argmax(sizes >= (1 - 1e-6) * sizes.max(axis=0), axis=0)
    return first


def _settled(items: Floats, values: Floats, facts: MatrixFacts) -> TruncatedSvd:
    """Without noise where nothing is, and with signs that do not depend on chance."""
    items *= (facts.users > 0)[:, None]
    items *= values > 0
    signs = np.where(items[leading_items(items), np.arange(values.size)] < 0, -1.0, 1.0)
    return TruncatedSvd(items * signs, values)


def _pass(blocks: DataFrame, facts: MatrixFacts, basis: Floats, center: bool, share: Any, folder: Path) -> Floats:
    """The sum of a share that is computed from the basis, which the executors map, and what centring takes away."""
    path = folder / f"basis-{uuid.uuid4().hex}.npy"
    np.save(path, basis, allow_pickle=False)
    shift = facts.mean @ basis if center else np.zeros(basis.shape[1])
    total, _ = added_up(blocks, facts.users.size, partial(share, str(path), shift), folder)
    path.unlink()
    return total


def _facts(users: sparse.csr_matrix) -> Floats:
    """(3, n_items)."""
    n_items = users.shape[1]
    sums = [np.bincount(users.indices, weights, n_items) for weights in (None, users.data, users.data**2)]
    return np.asarray(sums, dtype=np.float64)


def _projected(path: str, shift: Floats, users: sparse.csr_matrix) -> Floats:
    """The rows of X Q, (n_users, width), centred: no dense row of items is ever made."""
    projected: Floats = users @ np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    projected -= shift
    return projected


def _round_trip(path: str, shift: Floats, users: sparse.csr_matrix) -> Floats:
    """A share of X'X Q, (n_items, width). Over all users centred projections add up to zero, so that X need not be
    centred a second time.
    """
    product: Floats = users.T @ _projected(path, shift, users)
    return product


def _gram(path: str, shift: Floats, users: sparse.csr_matrix) -> Floats:
    """A share of (X Q)'(X Q), (width, width)."""
    projected = _projected(path, shift, users)
    return projected.T @ projected
