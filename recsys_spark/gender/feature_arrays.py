"""Features of users as arrays, for training with MLlib and for prediction.

Vectors of a model are standardised by the means and deviations of the training users and divided by the root of their
length; TF-IDF rows have length one. Both blocks have about the same size, so one regularisation fits both.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import UserBlock, VectorScorer

__all__ = ["Codes", "FeatureArrays", "Features", "TfIdf", "user_vectors"]


@dataclass(frozen=True)
class TfIdf:
    """TF-IDF of the items that a user has played, without their play counts.

    `idf` (n_items, 1) is 1 + ln((1 + users) / (1 + users of the item)), as in scikit-learn, and zero for items that no
    training user has played.
    """

    idf: ItemMatrix

    def rows(self, block: UserBlock) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
        """Return the users as CSR with rows of length one: indptr (n + 1,), indices and values (nnz,)."""
        idf = self.idf.whole()[:, 0]
        known = block.histories.only(block.histories.of_items(idf > 0))
        value, row = idf[known.item_idx].astype(np.float64), known.rows()
        squares = np.bincount(row, np.square(value), minlength=len(block))
        return known.indptr, known.item_idx, value / np.sqrt(squares[row])


@dataclass(frozen=True)
class Codes:
    """Standardised vectors of a model.

    `mean` and `scale` (k,) bring the vectors of the training users to mean zero and deviation 1 / sqrt(k).
    """

    scorer: VectorScorer
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    def rows(self, block: UserBlock) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return codes (n, k) and the mask of users with a vector, (n,).

        Users without a vector have zeros, the mean.
        """
        rows, vectors = user_vectors(self.scorer, block)
        codes, described = np.zeros((len(block), self.mean.size)), np.zeros(len(block), np.bool_)
        if rows.size:
            codes[rows] = (vectors - self.mean) * self.scale
            described[rows] = True
        return codes, described


@dataclass(frozen=True)
class FeatureArrays:
    """Features of n users.

    `codes` (n, k), k may be 0; TF-IDF as CSR whose columns are items, empty if not used; `known_items` (n,), the number
    of their items that the model can use, 0 for users without any features.
    """

    codes: NDArray[np.float64]
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float64]
    known_items: NDArray[np.int64]


@dataclass(frozen=True)
class Features:
    """Fitted features, small to pickle; rows of `item_matrix` are zero for items that do not count as known."""

    item_matrix: ItemMatrix
    codes: Codes | None = None
    tf_idf: TfIdf | None = None

    @property
    def n_codes(self) -> int:
        """Return the length of the codes, 0 without vectors."""
        return 0 if self.codes is None else self.codes.mean.size

    @property
    def width(self) -> int:
        """Return the length of the features as one vector: codes first, then a column an item."""
        return self.n_codes + (0 if self.tf_idf is None else self.tf_idf.idf.n_items)

    def rows(self, block: UserBlock) -> FeatureArrays:
        """Return the features of a block of users."""
        nothing = (np.zeros(len(block) + 1, np.int64), np.empty(0, np.int32), np.empty(0))
        sparse = nothing if self.tf_idf is None else self.tf_idf.rows(block)
        known = block.histories.lengths_of(block.histories.of_items(self.item_matrix.norms() > 0))
        if self.codes is None:
            return FeatureArrays(np.zeros((len(block), 0)), *sparse, known)
        codes, described = self.codes.rows(block)
        has_any = described if self.tf_idf is None else described | (np.diff(sparse[0]) > 0)
        return FeatureArrays(codes, *sparse, np.where(has_any, known, 0))


def user_vectors(scorer: VectorScorer, block: UserBlock) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the rows of a block that have vectors, and the vectors.

    Entries without confidence are left out, as they are no input of the model. Stored vectors need no history.
    """
    histories = block.histories
    return scorer.vectors(UserBlock(block.vectors, histories.only(histories.are_given())))
