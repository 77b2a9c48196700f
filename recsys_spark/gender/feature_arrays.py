"""What a classifier sees of users: numbers for arrays and for MLlib, made by the same code.

Vectors of a model are standardised by the means and deviations of the training users and divided by the root of their
length; TF-IDF rows have length one. So both blocks have about the same size, and one regularisation serves them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import UserBlock, VectorScorer

__all__ = ["Codes", "FeatureRows", "Features", "TfIdf", "user_vectors"]


@dataclass(frozen=True)
class TfIdf:
    """Which items a user has played, whatever the count: the idf of each item, (n_items, 1), zero where no training
    user has played it. idf = 1 + ln((1 + users) / (1 + users of the item)), as scikit-learn's.
    """

    idf: ItemMatrix

    def rows(self, block: UserBlock) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
        """CSR of the users, rows of length one: indptr (n + 1,), indices and values (nnz,)."""
        idf = self.idf.whole()[:, 0]
        known = block.histories.only(block.histories.of_items(idf > 0))
        value, row = idf[known.item_idx].astype(np.float64), known.rows()
        squares = np.bincount(row, np.square(value), minlength=len(block))
        return known.indptr, known.item_idx, value / np.sqrt(squares[row])


@dataclass(frozen=True)
class Codes:
    """Vectors of a model; `mean` and `scale` (k,) bring those of the training users to zero and 1 / sqrt(k)."""

    scorer: VectorScorer
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    def rows(self, block: UserBlock) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """(n, k), and whether the model can describe a user, (n,); those it cannot have zero, which is the mean."""
        rows, vectors = user_vectors(self.scorer, block)
        codes, described = np.zeros((len(block), self.mean.size)), np.zeros(len(block), np.bool_)
        if rows.size:
            codes[rows] = (vectors - self.mean) * self.scale
            described[rows] = True
        return codes, described


@dataclass(frozen=True)
class FeatureRows:
    """Features of users: `codes` (n, k), k may be 0; TF-IDF as CSR whose columns are items, empty if not used;
    `known` (n,), how many of their items the model knows, 0 for users of whom it has no features at all.
    """

    codes: NDArray[np.float64]
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float64]
    known: NDArray[np.int64]


@dataclass(frozen=True)
class Features:
    """The recipe; small to pickle. `known` is zero for the items that do not count as known."""

    known: ItemMatrix
    codes: Codes | None = None
    tf_idf: TfIdf | None = None

    @property
    def n_codes(self) -> int:
        """Length of the vectors, 0 without."""
        return 0 if self.codes is None else self.codes.mean.size

    @property
    def width(self) -> int:
        """Of the features as one vector: codes first, then a column an item."""
        return self.n_codes + (0 if self.tf_idf is None else self.tf_idf.idf.n_items)

    def rows(self, block: UserBlock) -> FeatureRows:
        """Features of users, in their order."""
        nothing = (np.zeros(len(block) + 1, np.int64), np.empty(0, np.int32), np.empty(0))
        sparse = nothing if self.tf_idf is None else self.tf_idf.rows(block)
        known = block.histories.lengths_of(block.histories.of_items(self.known.norms() > 0))
        if self.codes is None:
            return FeatureRows(np.zeros((len(block), 0)), *sparse, known)
        codes, described = self.codes.rows(block)
        has_any = described if self.tf_idf is None else described | (np.diff(sparse[0]) > 0)
        return FeatureRows(codes, *sparse, np.where(has_any, known, 0))


def user_vectors(scorer: VectorScorer, block: UserBlock) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The rows of a block that a model can describe, and their vectors. Entries without confidence are left out, as
    they are not what the model would be given; stored vectors need no history.
    """
    histories = block.histories
    return scorer.vectors(UserBlock(block.vectors, histories.only(histories.are_given())))
