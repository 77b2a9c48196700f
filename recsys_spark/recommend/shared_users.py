"""Nearest items by the users that two items share, computed from interactions on the executors.

The similarity of items i and j is sum_u w_ui w_uj a_i b_j over the users of both. For the cosine methods it is the
cosine of the items' rows: a and b are one over the length of a row. For the random walk it is the chance to come from i
to j by way of a random user of i and a random item of that user, divided by the number of users of j to the power of
`similarity.popularity_exponent` (RP3beta without its power of chances, Paudel et al. 2017).
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window
from scipy import sparse

from recsys_spark.config.similarity import SimilaritySettings
from recsys_spark.config.weighting import WeightingSettings
from recsys_spark.core.errors import TrainingError
from recsys_spark.models.user_blocks import csr_blocks, user_blocks
from recsys_spark.preparation.weighting import with_confidence
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.matrix_writer import write_item_matrix
from recsys_spark.ranking.pair_products import PRODUCTS, BlockSums, item_products, sum_products
from recsys_spark.ranking.scores import Scores, Tile
from recsys_spark.ranking.top_n import top_n
from recsys_spark.recommend.similarity import SCHEMA, lists_to_arrow

__all__ = ["block_similarity", "nearest_by_users", "with_weight", "write_scales"]


def nearest_by_users(
    weighted: DataFrame, scales: ItemMatrix, n_neighbours: int, shrinkage: float, n_tasks: int
) -> DataFrame:
    """Return the nearest items of each item, with the columns and the order of item_similarity.

    `weighted` are pairs with_weight, `scales` those of write_scales. Items that share no user are no neighbours.
    A task of the first step holds its pairs and one block of products, and of the second step the rows of sum_products
    of as many tasks. The work grows with the sum of squares of the lengths of histories.
    """
    products = partial(_products, scales.n_items)
    nearest = partial(_nearest, scales, n_neighbours, shrinkage)
    return user_blocks(weighted, n_tasks).mapInArrow(products, PRODUCTS).groupBy("block").applyInArrow(nearest, SCHEMA)


def with_weight(pairs: DataFrame, settings: SimilaritySettings) -> DataFrame:
    """Return (user_idx, item_idx, confidence FLOAT) with the weights w of a method; one row a pair.

    Items are documents and users are terms: cosine takes 1, tf_idf the root of plays times log(items / items of the
    user), bm25 that of with_confidence, and random_walk the root of one over the items of the user.
    """
    if settings.method == "bm25":
        weighted = with_confidence(pairs, WeightingSettings(weighting="bm25"))
    else:
        weighted = pairs.withColumn("items", F.count(F.lit(1)).over(Window.partitionBy("user_idx")))
        weight: dict[str, Column] = {
            "cosine": F.lit(1.0),
            "random_walk": 1 / F.sqrt("items"),
            # A user of all items has still played the two.
            "tf_idf": F.sqrt("play_count") * F.log1p(F.lit(_n_items(pairs)) / F.col("items")),
        }
        weighted = weighted.withColumn("confidence", weight[settings.method])
    return weighted.select("user_idx", "item_idx", F.col("confidence").cast("float").alias("confidence"))


def write_scales(
    weighted: DataFrame, settings: SimilaritySettings, folder: Path, n_items: int, max_bytes: int
) -> ItemMatrix:
    """Write the scales a and b of each item, (n_items, 2), by the executors.

    Raises TrainingError where there are no pairs.
    """
    squares = F.sum(F.col("confidence").cast("double") * F.col("confidence"))
    items = (
        weighted.where("confidence > 0").groupBy("item_idx").agg(squares.alias("squares"), F.count("*").alias("users"))
    )
    length = 1 / F.sqrt("squares")
    scales = (length, length)
    if settings.method == "random_walk":
        scales = (1 / F.col("users"), F.pow("users", F.lit(-settings.popularity_exponent)))
    vectors = items.select("item_idx", F.array(*scales).cast("array<float>").alias("vector"))
    if vectors.isEmpty():
        raise TrainingError("there are no interactions to compare items by: run ingest_plays and build_interactions")
    return write_item_matrix(vectors, folder, n_items, max_bytes)


def block_similarity(block: BlockSums, scales: NDArray[np.float32], shrinkage: float) -> NDArray[np.float32]:
    """Return similarities (items of the block, n_items); minus infinity without a shared user and of an item itself.

    scales (n_items, 2).
    """
    scales = scales.astype(np.float64)
    own = np.arange(len(block.sums))
    similarity = block.sums * scales[block.first + own, :1] * scales[:, 1]
    if shrinkage:
        similarity *= block.users / (block.users + shrinkage)
    similarity[block.users == 0] = -np.inf
    similarity[own, block.first + own] = -np.inf
    rounded: NDArray[np.float32] = similarity.astype(np.float32)
    return rounded


def _products(n_items: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for users, histories in csr_blocks(batches):
        arrays = (histories.confidence.astype(np.float64), histories.item_idx, histories.indptr)
        # The smallest user of a block is in no other one.
        yield from item_products(sparse.csr_matrix(arrays, (users.size, n_items)), int(users[0]))


def _nearest(scales: ItemMatrix, n_neighbours: int, shrinkage: float, rows: pa.Table) -> pa.Table:
    block = sum_products(rows, scales.n_items)
    similarity = block_similarity(block, scales.whole(), shrinkage)
    lists = top_n(Scores(len(similarity), [Tile(0, similarity)]), n_neighbours)
    return pa.Table.from_batches([lists_to_arrow(block.first + np.arange(len(similarity)), lists)])


def _n_items(pairs: DataFrame) -> int:
    return pairs.select("item_idx").distinct().count()
