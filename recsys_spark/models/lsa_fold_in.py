"""Encoder of histories for LSA; it needs no Spark."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import FoldIn, Histories

__all__ = ["LsaFoldIn"]


@dataclass(frozen=True)
class LsaFoldIn:
    """Fold-in of a history by projection on the directions of the items: x V / S, from the rows V S of the matrix.

    The result is the least squares solution: its products with the item vectors are closest to the history. Orthogonal
    directions make it a product, without a linear system. For centred items, the last column of the matrix holds the
    means, and the last component of a user vector is 1.
    """

    center: bool = False
    fold_in: FoldIn = "solve"

    def __call__(self, matrix: ItemMatrix, histories: Histories) -> NDArray[np.float32]:
        inside = (histories.item_idx >= 0) & (histories.item_idx < matrix.n_items)
        valid = histories.only(inside & np.isfinite(histories.confidence))
        items, places = np.unique(valid.item_idx, return_inverse=True)
        rows = matrix.rows(items)
        entries = sparse.csr_matrix((valid.confidence, places, valid.indptr), (len(valid), items.size))
        vectors = entries @ rows.astype(np.float64)
        gram, has_items = matrix.gram(), vectors.any(axis=1)
        if self.center:
            vectors -= gram[-1]
        squares = np.diag(gram)
        vectors = np.divide(vectors, squares, out=np.zeros_like(vectors), where=squares > 0)
        if self.center:
            vectors[:, -1] = 1
        folded: NDArray[np.float32] = (vectors * has_items[:, None]).astype(np.float32)
        return folded
