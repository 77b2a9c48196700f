"""k-means on unit vectors, for maps whose items have no genres."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["k_means"]

MAX_PASSES = 50


def k_means(unit: NDArray[np.float32], k: int, seed: int) -> NDArray[np.int64]:
    """Return the cluster of each row, (n,), of at most k clusters.

    Clusters are numbered in the order of their first rows. Lloyd's algorithm starts from k-means++ (Arthur and
    Vassilvitskii 2007). A row that is alone in its cluster joins the nearest cluster of several rows. Memory is n x k
    float32.
    """
    centres = _initial_centres(unit, min(k, unit.shape[0]), np.random.default_rng(seed))
    cluster = np.full(unit.shape[0], -1)
    for _ in range(MAX_PASSES):
        closest = _nearest_centres(unit, centres)
        if (closest == cluster).all():
            break
        cluster = closest
        for number in np.unique(cluster):
            centres[number] = unit[cluster == number].mean(axis=0)
    cluster = _without_single_rows(cluster, unit, centres)
    _, first, number = np.unique(cluster, return_index=True, return_inverse=True)
    renumbered: NDArray[np.int64] = first.argsort().argsort()[number]
    return renumbered


def _nearest_centres(unit: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.int64]:
    nearest: NDArray[np.int64] = (unit @ centres.T - (centres**2).sum(axis=1) / 2).argmax(axis=1)
    return nearest


def _without_single_rows(
    cluster: NDArray[np.int64], unit: NDArray[np.float32], centres: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Move each row that is alone in its cluster to the nearest larger cluster; one cluster if there is none."""
    sizes = np.bincount(cluster, minlength=len(centres))
    larger, single = np.flatnonzero(sizes > 1), sizes[cluster] == 1
    if not larger.size:
        return np.zeros_like(cluster)
    return np.where(single, larger[_nearest_centres(unit, centres[larger])], cluster)


def _initial_centres(unit: NDArray[np.float32], k: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw k rows in turn, in proportion to their squared distance from those already drawn."""
    chosen = [int(rng.integers(unit.shape[0]))]
    distance = np.full(unit.shape[0], np.inf)
    while len(chosen) < k:
        distance = np.minimum(distance, np.maximum(0, 2 - 2 * (unit @ unit[chosen[-1]]).astype(np.float64)))
        distance[chosen] = 0
        if distance.sum() <= 0:
            break
        chosen.append(int(rng.choice(unit.shape[0], p=distance / distance.sum())))
    return unit[chosen].copy()
