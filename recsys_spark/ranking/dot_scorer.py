"""Scorers by dot products of user and item vectors."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from recsys_spark.core.errors import TrainingError
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.products import dot_scores
from recsys_spark.ranking.scorer import FoldIn, HistoryEncoder, Origin, ProductScorer, Queries, UserBlock
from recsys_spark.ranking.scores import Scores

__all__ = ["DotScorer", "ExtendedScorer"]


@dataclass(frozen=True)
class DotScorer:
    """Dot products of user and item vectors: ALS, LSA, matrix factorisation.

    A bias is one more component. The `encoder`, if any, encodes the histories of users without a trained vector.
    """

    scores_by_product: ClassVar[bool] = True

    matrix: ItemMatrix
    encoder: HistoryEncoder | None = None

    @property
    def fold_in(self) -> FoldIn:
        """Return the method of the encoder, "none" without one."""
        return "none" if self.encoder is None else self.encoder.fold_in

    def encode(self, users: UserBlock) -> Queries:
        """Return the vectors of users as queries, with the origin of each."""
        rows, vectors = self.vectors(users)
        return Queries(rows, vectors, np.where(users.has_vector()[rows], Origin.MODEL, Origin.FOLD_IN))

    def vectors(self, users: UserBlock) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Return rows of the block and their vectors, trained or encoded from histories."""
        vectors = np.zeros((len(users), self.matrix.rank), dtype=np.float32)
        if users.vectors is not None:
            _check_rank(users.vectors.shape[1], self.matrix.rank)
            vectors[:] = users.vectors
        untrained = np.flatnonzero(~vectors.any(axis=1))
        if self.encoder is not None and untrained.size:
            vectors[untrained] = self.encoder(self.matrix, users.histories.take(untrained))
        rows = np.flatnonzero(vectors.any(axis=1))
        return rows, vectors[rows]

    def score(self, queries: NDArray[np.float32]) -> Scores:
        """Return dot products with all item vectors."""
        return dot_scores(self.matrix, queries)


@dataclass(frozen=True)
class ExtendedScorer:
    """A scorer for more items than its model was trained on.

    `base` encodes users from the items that it was trained on. Scores are dot products with the rows of `matrix`: the
    rows of the base's matrix and further ones, such as predicted vectors of items without plays. Small to pickle.
    """

    base: ProductScorer
    matrix: ItemMatrix

    @property
    def fold_in(self) -> FoldIn:
        """Return the method of the base."""
        return self.base.fold_in

    def encode(self, users: UserBlock) -> Queries:
        """Return the queries of the base."""
        return self.base.encode(users)

    def score(self, queries: Any) -> Scores:
        """Return dot products with the rows of the extended matrix."""
        return dot_scores(self.matrix, queries)


def _check_rank(rank: int, expected: int) -> None:
    if rank != expected:
        raise TrainingError(
            f"user vectors of length {rank} and item vectors of length {expected} belong to different models: take "
            "both from the same model_version"
        )
