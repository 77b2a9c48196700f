"""Truncated SVD of a sparse user-item matrix by random projection.

A few random directions, multiplied by the matrix and its transpose several times, span nearly the same space as the
largest singular vectors (Halko, Martinsson and Tropp 2011, algorithms 4.4 and 5.1, on the transposed matrix). Each pass
over the users is one job of sparse products. Dense arrays have a row an item and are held by the driver.

MLlib's RowMatrix.computeSVD is no alternative: it needs RDDs, which Spark Connect lacks; its Gram matrix on the driver
takes 8 bytes times the square of the items; and its ARPACK mode runs a job for each of some hundred single vectors,
instead of one for all sixty at once.
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
from recsys_spark.models.user_blocks import sum_over_blocks

__all__ = ["MatrixStatistics", "Projection", "TruncatedSvd", "leading_items", "matrix_statistics", "truncated_svd"]

Floats = NDArray[np.float64]

# Singular values below this share of the largest are rounding errors, and their directions are arbitrary.
MIN_SINGULAR_SHARE = 1e-6


@dataclass(frozen=True)
class MatrixStatistics:
    """Column statistics of the matrix.

    `n_users` counts users with an entry. `users`, `mean` (over all these users) and `squares` (sum of squares) have a
    value an item, (n_items,).
    """

    n_users: int
    users: Floats
    mean: Floats
    squares: Floats

    @property
    def limit(self) -> int:
        """Return the largest rank that the matrix can have."""
        return min(self.n_users, int(np.count_nonzero(self.users)))

    def total(self, center: bool) -> float:
        """Return the sum of all squared entries, after centring if `center`."""
        return float(self.squares.sum() - (self.n_users * (self.mean**2).sum() if center else 0))


@dataclass(frozen=True)
class Projection:
    """Settings of a decomposition.

    `rank` directions are kept; `oversampling` more are computed for accuracy. `iterations` are power iterations,
    `center` subtracts the means of the items, and `seed` draws the first directions.
    """

    rank: int
    oversampling: int
    iterations: int
    center: bool
    seed: int


@dataclass(frozen=True)
class TruncatedSvd:
    """Right singular vectors (n_items, k) with orthonormal columns, and singular values (k,), descending.

    Both are zero where the matrix has no further direction.
    """

    items: Floats
    values: Floats


def matrix_statistics(blocks: DataFrame, n_items: int, folder: Path) -> MatrixStatistics:
    """Return the statistics of user_blocks in one pass.

    Raises TrainingError if the blocks are empty.
    """
    sums, n_users = sum_over_blocks(blocks, n_items, _item_statistics, folder)
    if not n_users:
        raise TrainingError(
            "there are no interactions to train on: "
            "run ingest_plays and build_interactions, or lower the minimum support"
        )
    return MatrixStatistics(n_users, sums[0], sums[1] / n_users, sums[2])


def truncated_svd(
    blocks: DataFrame, statistics: MatrixStatistics, projection: Projection, folder: Path
) -> TruncatedSvd:
    """Decompose the matrix in user_blocks in 2 + projection.iterations passes.

    Equal seeds give equal vectors up to rounding, for any partitions of the users, unless singular values are equal:
    their directions are arbitrary. The largest component of each column of `items` is positive. The driver holds three
    arrays of n_items x (rank + oversampling) x 8 bytes, a task two and its users' pairs and projections, `folder` one a
    task. Raises ConfigError for a rank that the matrix cannot have, TrainingError if centring leaves only zeros.
    """
    if projection.rank > statistics.limit:
        raise ConfigError(
            f"models.lsa.rank = {projection.rank}, but {statistics.n_users} users with "
            f"{np.count_nonzero(statistics.users)} items have no more than {statistics.limit} directions: "
            f"lower it to at most {statistics.limit}"
        )
    if statistics.total(projection.center) <= 1e-12 * statistics.total(False):
        raise TrainingError(
            "all users have equal entries, so centring leaves only zeros: set models.lsa.center to false"
        )
    width = min(projection.rank + projection.oversampling, statistics.limit)
    basis = np.random.default_rng(projection.seed).standard_normal((statistics.users.size, width))
    for _ in range(projection.iterations + 1):
        product = _pass(blocks, statistics, basis, projection.center, _round_trip, folder)
        basis = linalg.qr(product, mode="economic", overwrite_a=True, check_finite=False)[0]
    squares, turn = np.linalg.eigh(_pass(blocks, statistics, basis, projection.center, _gram, folder))
    values = np.sqrt(np.maximum(squares[::-1][: projection.rank], 0))
    values[values < MIN_SINGULAR_SHARE * values[0]] = 0
    return _normalised(basis @ turn[:, ::-1][:, : projection.rank], values, statistics)


def leading_items(items: Floats) -> NDArray[np.intp]:
    """Return the item of the largest component of each column.

    Of components that are equal up to rounding, the first counts.
    """
    sizes = np.abs(items)
    first: NDArray[np.intp] = np.argmax(sizes >= (1 - 1e-6) * sizes.max(axis=0), axis=0)
    return first


def _normalised(items: Floats, values: Floats, statistics: MatrixStatistics) -> TruncatedSvd:
    """Set rounding errors to zero, and choose signs that do not depend on chance."""
    items *= (statistics.users > 0)[:, None]
    items *= values > 0
    signs = np.where(items[leading_items(items), np.arange(values.size)] < 0, -1.0, 1.0)
    return TruncatedSvd(items * signs, values)


def _pass(
    blocks: DataFrame, statistics: MatrixStatistics, basis: Floats, center: bool, share: Any, folder: Path
) -> Floats:
    """Return the sum of `share` over all blocks.

    It is computed from the basis and the shift of centring. Executors map the basis from a file below `folder`.
    """
    path = folder / f"basis-{uuid.uuid4().hex}.npy"
    np.save(path, basis, allow_pickle=False)
    shift = statistics.mean @ basis if center else np.zeros(basis.shape[1])
    total, _ = sum_over_blocks(blocks, statistics.users.size, partial(share, str(path), shift), folder)
    path.unlink()
    return total


def _item_statistics(users: sparse.csr_matrix) -> Floats:
    """Return (3, n_items): users, sum and sum of squares of each item."""
    n_items = users.shape[1]
    sums = [np.bincount(users.indices, weights, n_items) for weights in (None, users.data, users.data**2)]
    return np.asarray(sums, dtype=np.float64)


def _projected(path: str, shift: Floats, users: sparse.csr_matrix) -> Floats:
    """Return the centred rows of X Q, (n_users, width), without a dense row of items."""
    projected: Floats = users @ np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    projected -= shift
    return projected


def _round_trip(path: str, shift: Floats, users: sparse.csr_matrix) -> Floats:
    """Return a block's part of X'X Q, (n_items, width).

    Centred projections sum to zero over all users, so X needs no second centring.
    """
    product: Floats = users.T @ _projected(path, shift, users)
    return product


def _gram(path: str, shift: Floats, users: sparse.csr_matrix) -> Floats:
    """Return a block's part of (X Q)'(X Q), (width, width)."""
    projected = _projected(path, shift, users)
    return projected.T @ projected
