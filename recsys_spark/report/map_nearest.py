"""Vectors of unit length, and the nearest of each by cosine: exact, in blocks, for as many as one machine draws."""

import numpy as np
from numpy.typing import NDArray

from recsys_spark.ranking.scores import Scores, exclude_pairs
from recsys_spark.ranking.top_n import top_n

__all__ = ["nearest", "unit_length"]

BLOCK = 512


def unit_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, rank) divided by the norms of its rows, none of which is zero."""
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    unit: NDArray[np.float32] = (vectors / norms[:, None]).astype(np.float32)
    return unit


def nearest(unit: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """(n, min(k, n - 1)): the places of the nearest rows by cosine, nearest first, equal ones by place.

    A block's cosines, 512 x n float32, and a few times as much are all that is held beside the result.
    """
    n = unit.shape[0]
    k = max(0, min(k, n - 1))
    blocks = [_nearest_of(unit, np.arange(start, min(start + BLOCK, n)), k) for start in range(0, n if k else 0, BLOCK)]
    return np.concatenate(blocks) if blocks else np.empty((n, 0), dtype=np.int64)


def _nearest_of(unit: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    scores = Scores(rows.size, [(0, unit[rows] @ unit.T)])
    return top_n(exclude_pairs(scores, np.arange(rows.size), rows), k).item_idx.astype(np.int64)
