"""EASE: a linear model of items by items in closed form (Steck 2019).

EASE has one setting, no rank and no training loop, and is among the best models on catalogues of some ten thousand
items. It needs a dense matrix of items by items, and time that grows with the cube of their number, on one machine.
Above max_items take als or mult_vae. The matrix holds only items that share a user with another item.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy import sparse
from scipy.linalg.lapack import dpotrf, dpotri

from recsys_spark.core.errors import ConfigError, TrainingError
from recsys_spark.models.gram import csr_of_histories, gram_matrix
from recsys_spark.models.kind import Fitted, ModelKind
from recsys_spark.models.settings.ease import EaseSettings
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.matrix_writer import write_item_arrays
from recsys_spark.ranking.scorer import FoldIn, Origin, Queries, Scorer, UserBlock
from recsys_spark.ranking.scores import Scores, Tile

__all__ = ["Ease", "EaseScorer", "ease_weights"]

ITEMS_FILE = "ease_items.npy"
TILE_ITEMS = 1024


class Ease(ModelKind):
    """The kind `ease`: no vectors, and scores of any history by a forward pass."""

    Settings: ClassVar[type[BaseModel]] = EaseSettings
    has_item_vectors: ClassVar[bool] = False
    has_user_vectors: ClassVar[bool] = False

    def fit(self, interactions: DataFrame, folder: Path, seed: int, parallelism: int) -> Fitted:
        """Count on the executors, solve on the driver, and write matrix and items below `folder`.

        Raises TrainingError if no two items have a user in common, ConfigError above max_items.
        """
        histories = (
            interactions.repartition(parallelism, "user_idx")
            .groupBy("user_idx")
            .agg(F.collect_list(F.col("item_idx").cast("int")).alias("item_idx"))
            .persist()
        )
        try:
            items = self._items(histories)
            gram = gram_matrix(histories, items, folder / "gram", parallelism)
        finally:
            histories.unpersist()
        np.save(folder / ITEMS_FILE, items, allow_pickle=False)
        weights, size = ease_weights(gram, self.settings.reg), items.size
        matrix = write_item_arrays(weights, folder / "items", size, size, 4 * size**2, TILE_ITEMS)
        return Fitted(matrix, metrics={"items": float(size)})

    def scorer(self, matrix: ItemMatrix) -> Scorer:
        """Return a scorer that sums the rows of a history's items."""
        return EaseScorer(matrix)

    def with_confidence(self, interactions: DataFrame, folder: Path) -> DataFrame:
        """Add a confidence of one for every pair."""
        return interactions.withColumn("confidence", F.lit(1.0).cast("float"))

    def _items(self, histories: DataFrame) -> NDArray[np.int32]:
        """Return the items that share a user with another item, ascending.

        At most max_items + 1 items are collected to the driver.
        """
        limit = self.settings.max_items
        linked = histories.where(F.size("item_idx") > 1).select(F.explode("item_idx").alias("item_idx")).distinct()
        items = np.sort(np.array([row[0] for row in linked.limit(limit + 1).collect()], dtype=np.int32))
        if not items.size:
            raise TrainingError(
                "no user has two items, so EASE has nothing to learn from: run ingest_plays and build_interactions, "
                "lower the minimum support, or train popularity"
            )
        if items.size > limit:
            raise ConfigError(
                f"more items than models.ease.max_items = {limit}: train als or mult_vae, which have no such limit, "
                "raise the minimum support of items, or raise that key if the driver has 8 bytes times its square"
            )
        return items


def ease_weights(gram: NDArray[np.float64], reg: float) -> Iterator[NDArray[np.float32]]:
    """Yield the rows of B, (n, n), in blocks: B[i, j] = -P[i, j] / P[j, j] for P = (gram + reg I)^-1.

    The diagonal of B is zero. Row i has the weights of item i for all items. gram (n, n) is C-contiguous; its upper
    triangle is read, and it is overwritten. Raises TrainingError if rounding makes the matrix singular.
    """
    n = len(gram)
    diagonal = np.einsum("ii->i", gram)
    diagonal += reg
    # LAPACK reads the transpose without a copy: the upper triangle is its lower one.
    factor, failed = dpotrf(gram.T, lower=1, clean=0, overwrite_a=1)
    if not failed:
        inverse, failed = dpotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise TrainingError("EASE's matrix cannot be inverted: train again with a larger models.ease.reg")
    inverse = inverse.T
    scale = -1 / np.einsum("ii->i", inverse)
    for first in range(0, n, TILE_ITEMS):
        last = min(first + TILE_ITEMS, n)
        rows = np.empty((last - first, n))
        rows[:, first:] = inverse[first:last, first:]
        rows[:, :first] = inverse[:first, first:last].T
        square = np.triu(inverse[first:last, first:last], 1)
        rows[:, first:last] = square + square.T
        yield (rows * scale).astype(np.float32)


@dataclass(frozen=True)
class EaseScorer:
    """Scorer by sums of the matrix's rows of a history's items.

    Row and column c belong to the c-th item of the file beside the matrix's folder. Items outside it score minus
    infinity. Users without an item in it are left out.
    """

    matrix: ItemMatrix
    fold_in: FoldIn = "forward"

    @property
    def items(self) -> NDArray[np.int32]:
        return _items(self.matrix)

    def encode(self, users: UserBlock) -> Queries:
        histories = csr_of_histories(users.histories.indptr, users.histories.item_idx, self.items, np.float32)
        histories.sort_indices()
        rows = np.flatnonzero(np.diff(histories.indptr))
        return Queries(rows, histories[rows], np.full(rows.size, Origin.MODEL))

    def score(self, queries: sparse.csr_matrix) -> Scores:
        # A sparse product adds the items of a history in ascending order in every block, so nothing needs refining.
        return Scores(queries.shape[0], self._tiles(queries))

    def _tiles(self, queries: sparse.csr_matrix) -> Iterator[Tile]:
        items = self.items
        used, places = np.unique(queries.indices, return_inverse=True)
        histories = sparse.csr_matrix((queries.data, places, queries.indptr), (queries.shape[0], used.size))
        for first in range(0, int(items[-1]) + 1, TILE_ITEMS):
            start, stop = np.searchsorted(items, (first, first + TILE_ITEMS))
            width = min(TILE_ITEMS, int(items[-1]) + 1 - first)
            scores = np.full((queries.shape[0], width), -np.inf, dtype=np.float32)
            if stop > start:
                scores[:, items[start:stop] - first] = histories @ self._weights(used, slice(start, stop))
            yield Tile(first, scores)

    def _weights(self, used: NDArray[np.intp], columns: slice) -> NDArray[np.float32]:
        """Return the rows of `used` and some columns as one contiguous array, (used, columns)."""
        size, tiles = self.matrix.tile_items, range(self.matrix.n_tiles)
        bounds = np.searchsorted(used, np.arange(len(tiles) + 1) * size)
        parts = (self.matrix.tile(t)[used[bounds[t] : bounds[t + 1]] - t * size, columns] for t in tiles)
        return np.concatenate(list(parts))


@lru_cache(maxsize=4)
def _items(matrix: ItemMatrix) -> NDArray[np.int32]:
    items: NDArray[np.int32] = np.load(Path(matrix.folder).parent / ITEMS_FILE, allow_pickle=False)
    return items
