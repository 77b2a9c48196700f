"""What a model must be able to do so that recommending works with it: make queries of users, and score items
for them.

A scorer is pickled to every task, so it holds paths and settings only; the arrays are opened by the
executors, once a process. A new kind of model is one class that follows `Scorer`: nothing else that
recommends, evaluates or prints a list changes.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from recsys_spark.core.errors import TrainingError
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.products import dot_scores
from recsys_spark.ranking.scores import Scores

__all__ = [
    "DotScorer",
    "FoldIn",
    "Histories",
    "HistoryEncoder",
    "Origin",
    "ProductScorer",
    "Queries",
    "Scorer",
    "UserBlock",
    "VectorScorer",
]

FoldIn = Literal["forward", "solve", "none"]


class Origin(IntEnum):
    """Where a list comes from; tables show the name in lower case."""

    MODEL = 0
    FOLD_IN = 1
    CONTENT = 2
    POPULAR = 3


@dataclass(frozen=True)
class Histories:
    """Histories of a block of users as CSR: indptr (n + 1,), item_idx (nnz,) in the order of the history,
    confidence (nnz,).

    Confidence is NaN where it was not given.
    """

    indptr: NDArray[np.int64]
    item_idx: NDArray[np.int32]
    confidence: NDArray[np.float32]

    def __len__(self) -> int:
        return self.indptr.size - 1

    def rows(self) -> NDArray[np.int64]:
        """The user's place in the block, for each entry."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def of_items(self, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which entries, (nnz,), are of items that are flagged, (n_items,); newer items are not."""
        inside = self.item_idx < flags.size
        inside[inside] = flags[self.item_idx[inside]]
        return inside

    def are_given(self) -> NDArray[np.bool_]:
        """Which entries, (nnz,), have a confidence: a play that was not rated has none for a model of ratings."""
        return ~np.isnan(self.confidence)

    def lengths_of(self, entries: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many of the entries, (nnz,), each user has, (n,)."""
        return np.bincount(self.rows()[entries], minlength=len(self))

    def only(self, entries: NDArray[np.bool_]) -> "Histories":
        """The histories of these entries alone, (nnz,)."""
        indptr = np.concatenate(([0], np.cumsum(self.lengths_of(entries))))
        return Histories(indptr, self.item_idx[entries], self.confidence[entries])

    def take(self, rows: NDArray[np.intp]) -> "Histories":
        """The histories of some users, in the order of `rows`."""
        lengths = np.diff(self.indptr)[rows]
        indptr = np.concatenate(([0], np.cumsum(lengths)))
        entries = np.arange(indptr[-1]) + np.repeat(self.indptr[rows] - indptr[:-1], lengths)
        return Histories(indptr, self.item_idx[entries], self.confidence[entries])


@dataclass(frozen=True)
class UserBlock:
    """A block of users: trained vectors (n, k), zero where a user has none, or None if the model stores none;
    histories; the number of the group that each belongs to (n,), where users are in groups.
    """

    vectors: NDArray[np.float32] | None
    histories: Histories
    groups: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.histories)

    def has_vector(self) -> NDArray[np.bool_]:
        """Which users have a trained vector, (n,)."""
        return np.zeros(len(self), np.bool_) if self.vectors is None else self.vectors.any(axis=1)

    def take(self, rows: NDArray[np.intp]) -> "UserBlock":
        """Some of the users."""
        return UserBlock(
            None if self.vectors is None else self.vectors[rows],
            self.histories.take(rows),
            None if self.groups is None else self.groups[rows],
        )


class Queries(NamedTuple):
    """The users of a block that a scorer can serve: `rows` (q,) ascending, what to score them with, where it
    came from.
    """

    rows: NDArray[np.intp]
    values: Any  # understood by the same scorer's score(); for dot products a float32 array (q, k)
    origins: NDArray[np.int64]  # (q,) of Origin


class Scorer(Protocol):
    """A model as recommending sees it."""

    @property
    def fold_in(self) -> FoldIn:
        """How it serves a history that it was not trained on: forward pass, solving for a vector, or not at
        all.
        """

    def encode(self, users: UserBlock) -> Queries:
        """Queries for the users it can serve; users of whom it knows nothing are left out."""

    def score(self, queries: Any) -> Scores:
        """Scores of every item for the values of some queries; items that it knows nothing of score minus
        infinity.
        """


@runtime_checkable
class ProductScorer(Scorer, Protocol):
    """A model whose scores are dot products of its queries with the rows of its matrix, so that rows which something
    else has found can be scored as well.
    """

    by_products: ClassVar[bool]


@runtime_checkable
class VectorScorer(Protocol):
    """A model that describes users by vectors, which other models can learn from."""

    def vectors(self, users: UserBlock) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """The vectors, (q, k), of the users that it can describe, `rows` (q,) ascending: stored ones where there are
        any, those of histories otherwise.
        """


class HistoryEncoder(Protocol):
    """Makes vectors of histories, (n, k), zero where nothing in them is known; small to pickle."""

    @property
    def fold_in(self) -> FoldIn:
        """What `Scorer.fold_in` says of a scorer with this encoder."""

    def __call__(self, matrix: ItemMatrix, histories: Histories) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class DotScorer:
    """Scores by the dot product of a user's and an item's vector: ALS, LSA, matrix factorisation.

    Biases are one more component. Without a trained vector a user's history is encoded, if there is an
    `encoder`.
    """

    by_products: ClassVar[bool] = True

    matrix: ItemMatrix
    encoder: HistoryEncoder | None = None

    @property
    def fold_in(self) -> FoldIn:
        return "none" if self.encoder is None else self.encoder.fold_in

    def encode(self, users: UserBlock) -> Queries:
        rows, vectors = self.vectors(users)
        return Queries(rows, vectors, np.where(users.has_vector()[rows], Origin.MODEL, Origin.FOLD_IN))

    def vectors(self, users: UserBlock) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        vectors = np.zeros((len(users), self.matrix.rank), dtype=np.float32)
        if users.vectors is not None:
            _refuse_other_rank(users.vectors.shape[1], self.matrix.rank)
            vectors[:] = users.vectors
        strangers = np.flatnonzero(~vectors.any(axis=1))
        if self.encoder is not None and strangers.size:
            vectors[strangers] = self.encoder(self.matrix, users.histories.take(strangers))
        rows = np.flatnonzero(vectors.any(axis=1))
        return rows, vectors[rows]

    def score(self, queries: NDArray[np.float32]) -> Scores:
        return dot_scores(self.matrix, queries)


def _refuse_other_rank(rank: int, expected: int) -> None:
    if rank != expected:
        raise TrainingError(
            f"User vectors of length {rank} and item vectors of length {expected} belong to different "
            "models. Take both from the same model_version."
        )
