"""Interface of scorers: queries of users, and scores of all items for them.

A scorer is pickled to every task, so that it holds paths and settings only; executors open the arrays once a process.
A new kind of model needs one class that follows `Scorer`; recommending and evaluation use it without changes.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scores import Scores

__all__ = [
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
    """Origin of a list; tables contain the name in lower case."""

    MODEL = 0
    FOLD_IN = 1
    CONTENT = 2
    POPULAR = 3


@dataclass(frozen=True)
class Histories:
    """Histories of a block of users as CSR.

    indptr (n + 1,), item_idx (nnz,) in the order of the history, confidence (nnz,), which is NaN where the model has
    none for the pair.
    """

    indptr: NDArray[np.int64]
    item_idx: NDArray[np.int32]
    confidence: NDArray[np.float32]

    def __len__(self) -> int:
        return self.indptr.size - 1

    def rows(self) -> NDArray[np.int64]:
        """Return the user's place in the block, for each entry, (nnz,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def of_items(self, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return True for entries, (nnz,), of flagged items, by `flags` (n_items,); newer items are not flagged."""
        inside = self.item_idx < flags.size
        inside[inside] = flags[self.item_idx[inside]]
        return inside

    def are_given(self) -> NDArray[np.bool_]:
        """Return True for entries, (nnz,), with a confidence.

        A pair without a rating has none for a model of ratings.
        """
        return ~np.isnan(self.confidence)

    def lengths_of(self, entries: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the number of these entries, (nnz,), of each user, (n,)."""
        return np.bincount(self.rows()[entries], minlength=len(self))

    def only(self, entries: NDArray[np.bool_]) -> "Histories":
        """Return the histories with these entries, (nnz,), alone."""
        indptr = np.concatenate(([0], np.cumsum(self.lengths_of(entries))))
        return Histories(indptr, self.item_idx[entries], self.confidence[entries])

    def take(self, rows: NDArray[np.intp]) -> "Histories":
        """Return the histories of some users, in the order of `rows`."""
        lengths = np.diff(self.indptr)[rows]
        indptr = np.concatenate(([0], np.cumsum(lengths)))
        entries = np.arange(indptr[-1]) + np.repeat(self.indptr[rows] - indptr[:-1], lengths)
        return Histories(indptr, self.item_idx[entries], self.confidence[entries])


@dataclass(frozen=True)
class UserBlock:
    """A block of users: vectors, histories, and groups where users are in groups.

    `vectors` are trained ones (n, k), zero for a user without one, or None if the model stores none; `groups` (n,) has
    the number of each user's group.
    """

    vectors: NDArray[np.float32] | None
    histories: Histories
    groups: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.histories)

    def has_vector(self) -> NDArray[np.bool_]:
        """Return True for users with a trained vector, (n,)."""
        return np.zeros(len(self), np.bool_) if self.vectors is None else self.vectors.any(axis=1)

    def take(self, rows: NDArray[np.intp]) -> "UserBlock":
        """Return some of the users, in the order of `rows`."""
        return UserBlock(
            None if self.vectors is None else self.vectors[rows],
            self.histories.take(rows),
            None if self.groups is None else self.groups[rows],
        )


class Queries(NamedTuple):
    """Queries of the users of a block that a scorer can encode; `rows` (q,) are ascending."""

    rows: NDArray[np.intp]
    values: Any  # input of the same scorer's score(); for dot products a float32 array (q, k)
    origins: NDArray[np.int64]  # (q,) of Origin


class Scorer(Protocol):
    """Interface of a model for recommending and evaluation."""

    @property
    def fold_in(self) -> FoldIn:
        """Return the method for histories not seen in training: forward pass, solve, or none."""

    def encode(self, users: UserBlock) -> Queries:
        """Return queries of users; users without a trained vector or a usable history are left out."""

    def score(self, queries: Any) -> Scores:
        """Return scores of every item for the values of queries; minus infinity for items not in the model."""


@runtime_checkable
class ProductScorer(Scorer, Protocol):
    """A scorer by dot products of queries with the rows of its matrix.

    Rows from another source can be scored by its queries as well (ExtendedScorer).
    """

    scores_by_product: ClassVar[bool]


@runtime_checkable
class VectorScorer(Protocol):
    """A model with vectors of users, which other models can be trained on."""

    def vectors(self, users: UserBlock) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Return ascending rows, (q,), and vectors, (q, k), of the users with a vector.

        These are stored vectors where there are any, vectors of histories otherwise.
        """


class HistoryEncoder(Protocol):
    """An encoder of histories to vectors; small to pickle."""

    @property
    def fold_in(self) -> FoldIn:
        """Return the value of `Scorer.fold_in` for a scorer with this encoder."""

    def __call__(self, matrix: ItemMatrix, histories: Histories) -> NDArray[np.float32]:
        """Return vectors of histories, (n, k); zero without an item of the matrix."""
