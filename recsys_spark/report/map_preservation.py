"""How much of who is near whom a picture keeps."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

__all__ = ["kept_by_chance", "kept_neighbours"]


def kept_neighbours(nearest: NDArray[np.int64], points: NDArray[np.float64]) -> float:
    """The share of the nearest vectors, (n, k), that are among the k nearest points, (n, 2), of the same item."""
    n, k = nearest.shape
    if k < 1:
        return 1.0
    _, found = KDTree(points).query(points, k=k + 1)
    # A point of its own place may come before the item itself, or instead of it.
    itself = found == np.arange(n)[:, None]
    itself[~itself.any(axis=1), -1] = True
    found = found[~itself].reshape(n, k)
    return float((nearest[:, :, None] == found[:, None, :]).any(axis=2).mean())


def kept_by_chance(n: int, k: int) -> float:
    """What points at random would keep of k neighbours of n items."""
    return k / max(1, n - 1)
