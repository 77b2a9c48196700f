"""Exact nearest items by cosine: every item against every other, in blocks, on the executors.

Up to several hundred thousand items an exact product costs less than building and tuning an approximate index. The
driver and the tasks hold at most a block of rows of the similarity matrix.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.products import cosine_scores
from recsys_spark.ranking.scores import exclude_items, exclude_pairs
from recsys_spark.ranking.top_n import TopN, top_n

__all__ = ["SCHEMA", "item_similarity", "lists_to_arrow", "nearest_items", "nearest_to_all"]

SCHEMA = "item_idx INT, position INT, similar_item_idx INT, similarity DOUBLE"


def item_similarity(
    spark: SparkSession, matrix: ItemMatrix, n_neighbours: int, n_tasks: int, block_items: int = 256
) -> DataFrame:
    """Return the nearest items of each item.

    Columns: item_idx INT, position INT from 1, similar_item_idx INT, similarity DOUBLE. Order: similarity descending,
    then similar_item_idx ascending. An item is not its own neighbour. An item without a vector has no neighbours and is
    no neighbour of others. `n_tasks`: about four for each core. A task holds block_items x (3 n_neighbours + 4096) x 8
    bytes beside the mapped matrix.
    """
    neighbours = partial(_neighbour_batches, matrix, n_neighbours, block_items)
    return spark.range(0, matrix.n_items, 1, n_tasks).mapInArrow(neighbours, SCHEMA)


def nearest_items(matrix: ItemMatrix, item_idx: NDArray[np.int64], n_neighbours: int) -> TopN:
    """Return the nearest items of a few items, ordered as in item_similarity.

    All given items need a vector.
    """
    scores = cosine_scores(matrix, matrix.rows(item_idx))
    return top_n(exclude_pairs(scores, np.arange(item_idx.size), item_idx), n_neighbours)


def nearest_to_all(
    matrix: ItemMatrix, item_idx: NDArray[np.int32], n: int, allowed: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the `n` items nearest to the mean direction of several distinct items (m,).

    The result is item_idx, best first, and the cosines with the mean. The given items, and items that are False in
    `allowed` (n_items,), are left out. Both arrays are empty if no given item has a vector.
    """
    inside = item_idx[item_idx < matrix.n_items]
    vectors = matrix.rows(inside).astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1)[:, None]
    mean = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0).sum(axis=0, keepdims=True)
    if not mean.any():
        return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)
    scores = exclude_pairs(cosine_scores(matrix, mean.astype(np.float32)), np.zeros_like(inside), inside)
    nearest = top_n(scores if allowed is None else exclude_items(scores, allowed), n)
    return nearest.item_idx[0, : nearest.length[0]], nearest.score[0, : nearest.length[0]]


def _neighbour_batches(
    matrix: ItemMatrix, n_neighbours: int, block_items: int, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    has_vector = matrix.norms() > 0
    for batch in batches:
        item_idx = batch["id"].to_numpy()
        item_idx = item_idx[has_vector[item_idx]]
        for start in range(0, item_idx.size, block_items):
            block = item_idx[start : start + block_items]
            yield lists_to_arrow(block, nearest_items(matrix, block, n_neighbours))


def lists_to_arrow(item_idx: NDArray[np.int64], nearest: TopN) -> pa.RecordBatch:
    """Convert the lists of items (n,) to rows of SCHEMA."""
    row, place = np.nonzero(np.arange(nearest.item_idx.shape[1]) < nearest.length[:, None])
    return pa.RecordBatch.from_pydict(
        {
            "item_idx": item_idx[row].astype(np.int32),
            "position": (place + 1).astype(np.int32),
            "similar_item_idx": nearest.item_idx[row, place],
            "similarity": nearest.score[row, place].astype(np.float64),
        }
    )
