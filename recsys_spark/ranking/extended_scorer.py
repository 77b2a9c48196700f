"""A model that can score more items than it was trained on, once something else has found vectors for them."""

from dataclasses import dataclass
from typing import Any

from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.products import dot_scores
from recsys_spark.ranking.scorer import FoldIn, ProductScorer, Queries, UserBlock
from recsys_spark.ranking.scores import Scores

__all__ = ["ExtendedScorer"]


@dataclass(frozen=True)
class ExtendedScorer:
    """`base` describes users as ever, from the items that it was trained on; scored are the rows of `matrix`, which
    has those of the base's own and more. Small to pickle.
    """

    base: ProductScorer
    matrix: ItemMatrix

    @property
    def fold_in(self) -> FoldIn:
        return self.base.fold_in

    def encode(self, users: UserBlock) -> Queries:
        return self.base.encode(users)

    def score(self, queries: Any) -> Scores:
        return dot_scores(self.matrix, queries)
