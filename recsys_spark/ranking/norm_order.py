"""Items of a matrix in descending order of the norms of their vectors.

A score is at most the product of two norms (Cauchy-Schwarz), so that the order bounds all scores from a position on.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from recsys_spark.ranking.item_matrix import ItemMatrix

__all__ = ["NormOrder", "order_by_norm"]

# A process copies this much of the vectors with the largest norms, which nearly all blocks need. The others are
# gathered from the mapped tiles for each block that needs them.
HEAD_BYTES = 1 << 24


class NormOrder:
    """Items with a vector by descending norm, equal norms by ascending item_idx.

    `item_idx` (m,) and `norms` (m,) belong to positions; `position` (n_items,) is the position of each item, m for an
    item without a vector.
    """

    def __init__(self, matrix: ItemMatrix) -> None:
        norms = matrix.norms()
        order = np.argsort(-norms, kind="stable")[: np.count_nonzero(norms)]
        self.matrix = matrix
        self.item_idx = order.astype(np.int32)
        self.norms = norms[order]
        self._ascending = -self.norms
        self.position = np.full(norms.size, order.size, dtype=np.int32)
        self.position[order] = np.arange(order.size, dtype=np.int32)
        self._head = matrix.rows(self.item_idx[: HEAD_BYTES // (4 * matrix.rank)])

    def __len__(self) -> int:
        return self.item_idx.size

    def vectors(self, first: int, stop: int) -> NDArray[np.float32]:
        """Return the vectors of positions [first, stop), (stop - first, rank)."""
        return self._head[first:stop] if stop <= len(self._head) else self.matrix.rows(self.item_idx[first:stop])

    def vectors_of(self, item_idx: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return copies of the vectors of these items, (n, rank)."""
        positions = self.position.take(item_idx)
        if positions.size and positions.max() < len(self._head):
            return self._head.take(positions, axis=0)
        return self.matrix.rows(item_idx)

    def count_above(self, norms: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the number of items with a norm above each of these values; all items for NaN."""
        counts: NDArray[np.intp] = np.searchsorted(self._ascending, -norms)
        return counts


@lru_cache(maxsize=4)
def order_by_norm(matrix: ItemMatrix) -> NormOrder:
    """Return the order of a matrix, computed once a process."""
    return NormOrder(matrix)
