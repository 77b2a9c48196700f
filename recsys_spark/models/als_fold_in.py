"""Encoder of histories for ALS; it needs no Spark."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys_spark.models.fold_in import fold_in_explicit, fold_in_implicit
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import FoldIn, Histories

__all__ = ["AlsFoldIn"]


@dataclass(frozen=True)
class AlsFoldIn:
    """Fold-in of a history: the closed-form solution of ALS with fixed items (fold_in.py)."""

    reg_param: float
    alpha: float
    implicit: bool
    fold_in: FoldIn = "solve"

    def __call__(self, matrix: ItemMatrix, histories: Histories) -> NDArray[np.float32]:
        known = (histories.item_idx >= 0) & (histories.item_idx < matrix.n_items)
        items, places = np.unique(np.where(known, histories.item_idx, -1), return_inverse=True)
        unknown = int(items.size > 0 and items[0] < 0)
        vectors = matrix.rows(items[unknown:])
        history = (histories.indptr, places - unknown, histories.confidence)
        if self.implicit:
            return fold_in_implicit(vectors, matrix.gram(), *history, reg_param=self.reg_param, alpha=self.alpha)
        return fold_in_explicit(vectors, *history, reg_param=self.reg_param)
