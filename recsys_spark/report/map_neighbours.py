"""Exact nearest neighbours of unit vectors, and the share of them that a layout keeps."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from recsys_spark.ranking.scores import Scores, Tile, exclude_pairs
from recsys_spark.ranking.top_n import top_n

__all__ = ["nearest", "neighbour_preservation", "random_preservation", "unit_length"]

BLOCK = 512


def unit_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors (n, rank) divided by their norms, none of which is zero."""
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    unit: NDArray[np.float32] = (vectors / norms[:, None]).astype(np.float32)
    return unit


def nearest(unit: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return the row numbers of the k nearest rows by cosine.

    The result is (n, min(k, n - 1)). The nearest row comes first; of equal cosines the lower row number. Beside the
    result, memory is a few times a block's cosines, 512 x n float32.
    """
    n = unit.shape[0]
    k = max(0, min(k, n - 1))
    blocks = [_nearest_of(unit, np.arange(start, min(start + BLOCK, n)), k) for start in range(0, n if k else 0, BLOCK)]
    return np.concatenate(blocks) if blocks else np.empty((n, 0), dtype=np.int64)


def neighbour_preservation(neighbours: NDArray[np.int64], points: NDArray[np.float64]) -> float:
    """Return the share of the nearest vectors that are also nearest points.

    For each item, its `neighbours` (n, k) are compared with the k nearest of the `points` (n, 2).
    """
    n, k = neighbours.shape
    if k < 1:
        return 1.0
    _, found = KDTree(points).query(points, k=k + 1)
    # Another point at the same place may come before the item itself, or instead of it.
    itself = found == np.arange(n)[:, None]
    itself[~itself.any(axis=1), -1] = True
    found = found[~itself].reshape(n, k)
    return float((neighbours[:, :, None] == found[:, None, :]).any(axis=2).mean())


def random_preservation(n: int, k: int) -> float:
    """Return the expected share of k neighbours of n items that random points keep."""
    return k / max(1, n - 1)


def _nearest_of(unit: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    scores = Scores(rows.size, [Tile(0, unit[rows] @ unit.T)])
    return top_n(exclude_pairs(scores, np.arange(rows.size), rows), k).item_idx.astype(np.int64)
