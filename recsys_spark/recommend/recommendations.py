"""Top-k lists of users, for any model: users with vectors, new histories, and users without data.

Users come in Arrow batches and are scored in blocks against tiles of items, so no matrix of users by items exists.
Users without a vector or a usable history get the list of a fallback scorer, by the same code.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.errors import TrainingError
from recsys_spark.preparation.sparse_rows import history_order
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import Histories, Origin, Scorer, UserBlock
from recsys_spark.ranking.scores import exclude_items, exclude_pairs
from recsys_spark.ranking.top_n import TopN, top_n

__all__ = [
    "BLOCK_USERS",
    "ListSettings",
    "block_columns",
    "dense_vectors",
    "or_empty",
    "recommend",
    "recommend_for_history",
    "recommendation_users",
    "user_block",
]

# Users of a block share the reading of item vectors; their scores of a tile fit in the processor's outer cache.
BLOCK_USERS = 512
# Optional column of user_block.
GROUP_COLUMN = "popular_group"
SCHEMA = "user_idx INT, position INT, item_idx INT, score DOUBLE, origin STRING"


@dataclass(frozen=True)
class ListSettings:
    """Limits of a list: its length `k`, and the items that it may contain.

    Items are limited to those that are True in `allowed` (n_items,), and with `filter_seen` to items that the user has
    not played. Items whose row of `content` (n_items, 1) is not zero have predicted vectors, and the origin content.
    """

    k: int
    filter_seen: bool = True
    allowed: NDArray[np.bool_] | None = None
    content: ItemMatrix | None = None


def recommendation_users(
    user_index: DataFrame, user_vectors: DataFrame | None, interactions: DataFrame, order: str = "column"
) -> DataFrame:
    """Return the users of `recommend` with their vectors and histories.

    Columns: user_idx INT, vector ARRAY<FLOAT>, history ARRAY<INT>, history_confidence ARRAY<FLOAT>. There is a row for
    every user of `user_index` (user_id, user_idx) except forgotten ones (user_id is null); the history of a user
    without interactions is null. `user_vectors` (user_idx, vector) are those of one model version, None if the model
    stores none. `interactions` has (user_idx, item_idx, confidence FLOAT). Histories are ordered by item_idx, or with
    `order` time by history_order first. The confidence is null for users with a vector.
    """
    pair = F.struct(*history_order(order), "item_idx", F.col("confidence").cast("float").alias("confidence"))
    histories = interactions.groupBy("user_idx").agg(F.sort_array(F.collect_list(pair)).alias("pairs"))
    users = user_index.where("user_id is not null").select("user_idx")
    if user_vectors is None:
        users = users.withColumn("vector", F.lit(None).cast("array<float>"))
    else:
        users = users.join(user_vectors.select("user_idx", "vector"), on="user_idx", how="left")
    return users.join(histories, on="user_idx", how="left").select(
        "user_idx",
        "vector",
        F.col("pairs.item_idx").alias("history"),
        F.when(F.col("vector").isNull(), F.col("pairs.confidence")).alias("history_confidence"),
    )


def block_columns() -> list[Column]:
    """Return the columns of recommendation_users that user_block reads, with empty lists in place of nulls."""
    elements = {"vector": "float", "history": "int", "history_confidence": "float"}
    return [or_empty(F.col(name), element).alias(name) for name, element in elements.items()]


def or_empty(lists: Column, element: str) -> Column:
    """Replace null lists of `element` by empty lists.

    Spark takes several times as long to transfer a column of null lists to Python as a column of full lists.
    """
    return F.coalesce(lists, F.array().cast(f"array<{element}>"))


def recommend(
    users: DataFrame,
    scorer: Scorer,
    fallback: Scorer,
    settings: ListSettings,
    n_tasks: int | None = None,
    block_users: int = BLOCK_USERS,
) -> DataFrame:
    """Return (user_idx INT, position INT from 1, item_idx INT, score DOUBLE, origin STRING) for `users`.

    `users` are those of recommendation_users. A user gets the list of `scorer` if it can score the user (origin model
    or fold_in, content for items of settings.content), else the list of `fallback` (popular), which may use a column
    popular_group INT of `users`. Order: score descending, then item_idx ascending. Lists are shorter than k where fewer
    items are left. `n_tasks` repartitions the users, about four tasks for each core; None keeps their partitions. A
    task holds an Arrow batch of users, block_users x (3 k + 4096) x 8 bytes, and a copy of up to 16 MB of the mapped
    item vectors (norm_order.py).
    """
    partitioned = users if n_tasks is None else users.repartition(n_tasks, "user_idx")
    lists = partial(_list_batches, scorer, fallback, settings, block_users)
    group = [GROUP_COLUMN] if GROUP_COLUMN in users.columns else []
    return partitioned.select("user_idx", *block_columns(), *group).mapInArrow(lists, SCHEMA)


def recommend_for_history(
    scorer: Scorer,
    item_idx: NDArray[np.int32],
    confidence: NDArray[np.float32],
    settings: ListSettings,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the list of one history in memory, best first: item_idx (n,) and scores (n,).

    Both are empty if the scorer cannot score the history.
    """
    order = np.argsort(item_idx)
    indptr = np.array([0, item_idx.size])
    block = UserBlock(None, Histories(indptr, item_idx[order], confidence[order]))
    for _, lists, _ in _lists(block, scorer, settings):
        return lists.item_idx[0, : lists.length[0]], lists.score[0, : lists.length[0]]
    return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)


def _list_batches(
    scorer: Scorer,
    fallback: Scorer,
    settings: ListSettings,
    block_users: int,
    batches: Iterator[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, batch.num_rows, block_users):
            part = batch.slice(start, block_users)
            user_idx = part["user_idx"].to_numpy()
            for rows, lists, origins in _lists_or_fallback(user_block(part), scorer, fallback, settings):
                yield _to_arrow(user_idx[rows], lists, origins, settings.content)


Lists = tuple[NDArray[np.intp], TopN, NDArray[np.int64]]


def _lists_or_fallback(block: UserBlock, scorer: Scorer, fallback: Scorer, settings: ListSettings) -> Iterator[Lists]:
    others = np.ones(len(block), dtype=np.bool_)
    for rows, lists, origins in _lists(block, scorer, settings):
        others[rows] = False
        yield rows, lists, origins
    remaining = np.flatnonzero(others)
    for rows, lists, origins in _lists(block.take(remaining), fallback, settings):
        yield remaining[rows], lists, origins


def _lists(block: UserBlock, scorer: Scorer, settings: ListSettings) -> Iterator[Lists]:
    """Yield (rows, lists, origins) of the users that can be scored, at most once."""
    rows, values, origins = scorer.encode(block)
    if not rows.size:
        return
    scores = scorer.score(values)
    if settings.allowed is not None:
        scores = exclude_items(scores, settings.allowed)
    if settings.filter_seen:
        seen = block.histories.take(rows)
        scores = exclude_pairs(scores, seen.rows(), seen.item_idx)
    yield rows, top_n(scores, settings.k), origins


def user_block(batch: pa.RecordBatch) -> UserBlock:
    """Convert a batch with block_columns to arrays.

    Users without a popular_group are in group 0, that of all users.
    """
    lengths = pc.list_value_length(batch["history"]).to_numpy()
    item_idx = batch["history"].flatten().to_numpy()
    confidence = np.full(item_idx.size, np.nan, dtype=np.float32)
    given = np.repeat(pc.list_value_length(batch["history_confidence"]).to_numpy() > 0, lengths)
    confidence[given] = batch["history_confidence"].flatten().to_numpy(zero_copy_only=False)
    indptr = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    histories = Histories(indptr, item_idx, confidence)
    if GROUP_COLUMN not in batch.schema.names:
        return UserBlock(dense_vectors(batch["vector"]), histories)
    groups = pc.fill_null(batch[GROUP_COLUMN], 0).to_numpy().astype(np.int64)
    return UserBlock(dense_vectors(batch["vector"]), histories, groups)


def dense_vectors(column: pa.ListArray) -> NDArray[np.float32] | None:
    """Convert lists to vectors (n, k), zero for an empty or null list; None if all lists are.

    Raises TrainingError for lists of different lengths.
    """
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    has_vector = lengths > 0
    if not has_vector.any():
        return None
    ranks = np.unique(lengths[has_vector])
    if ranks.size != 1:
        raise TrainingError("user vectors differ in length: train the model again")
    vectors = np.zeros((len(column), ranks[0]), dtype=np.float32)
    vectors[has_vector] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, ranks[0])
    return vectors


def _to_arrow(
    user_idx: NDArray[np.int32], lists: TopN, origins: NDArray[np.int64], content: ItemMatrix | None
) -> pa.RecordBatch:
    row, place = np.nonzero(np.arange(lists.item_idx.shape[1]) < lists.length[:, None])
    item_idx, origin = lists.item_idx[row, place], origins[row]
    if content is not None:
        predicted = content.whole()[item_idx, 0] != 0
        origin = np.where(predicted & (origin != Origin.POPULAR), Origin.CONTENT, origin)
    names = pa.array([each.name.lower() for each in Origin])
    return pa.RecordBatch.from_pydict(
        {
            "user_idx": user_idx[row],
            "position": (place + 1).astype(np.int32),
            "item_idx": item_idx,
            "score": lists.score[row, place].astype(np.float64),
            "origin": names.take(pa.array(origin)),
        }
    )
