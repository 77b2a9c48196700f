"""Encoder of histories for ALS; it needs no Spark."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys_spark.models.block_als.objective import Objective
from recsys_spark.models.fold_in import fold_in_explicit, fold_in_implicit
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import FoldIn, Histories

__all__ = ["AlsFoldIn"]


@dataclass(frozen=True)
class AlsFoldIn:
    """Fold-in of a history: the closed-form solution of ALS with fixed items (fold_in.py)."""

    objective: Objective
    fold_in: FoldIn = "solve"

    def __call__(self, matrix: ItemMatrix, histories: Histories) -> NDArray[np.float32]:
        known = (histories.item_idx >= 0) & (histories.item_idx < matrix.n_items)
        items, places = np.unique(np.where(known, histories.item_idx, -1), return_inverse=True)
        unknown = int(items.size > 0 and items[0] < 0)
        vectors = matrix.rows(items[unknown:])
        history = (histories.indptr, places - unknown, histories.confidence)
        if self.objective.implicit:
            n_items = int(np.count_nonzero(matrix.norms())) if self.objective.reg_all_pairs else 0
            return fold_in_implicit(vectors, matrix.gram(), *history, self.objective, n_items)
        return fold_in_explicit(vectors, *history, self.objective)
