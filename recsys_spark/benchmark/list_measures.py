"""Measures of similar items and recommendations."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.benchmark.comparison import Bench, Comparison, compute, take_turns, timed, torch_threads
from recsys_spark.benchmark.lsa_measures import generate_play_counts, write_pairs
from recsys_spark.models.als import als_estimator, als_factors, als_observations
from recsys_spark.models.settings.als import AlsSettings
from recsys_spark.ranking.dot_scorer import DotScorer
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.matrix_writer import write_item_arrays, write_item_matrix
from recsys_spark.recommend.recommendations import ListSettings, recommend, recommendation_users
from recsys_spark.recommend.similarity import item_similarity
from recsys_spark.runtime.spark_context import block_tasks, parallelism

__all__ = ["LISTED", "MAX_BYTES", "item_similarity_lists", "recommend_all", "recommendations"]

RANK, LISTED = 64, 100
SIMILAR_ITEMS = 50_000
FULL_USERS, FULL_ITEMS, PLAYS_A_USER = 60_000, 20_000, 50
BLOCK = 1024
MAX_BYTES = 1 << 30

Vectors = NDArray[np.float32]


def item_similarity_lists(bench: Bench) -> Comparison:
    """Compare the rows of item_similarity with the matrix product of all items alone.

    Spark writes the rows to files. The reference is the faster of torch and numpy on as many cores.
    """
    n_items, tasks = max(BLOCK, round(SIMILAR_ITEMS * bench.scale)), parallelism(bench.spark)
    vectors = np.random.default_rng(bench.seed).normal(size=(n_items, RANK)).astype(np.float32)
    matrix = write_item_arrays(vectors, bench.folder / "items", n_items, RANK, MAX_BYTES)

    def ours() -> None:
        rows = item_similarity(bench.spark, matrix, LISTED, block_tasks(bench.spark))
        rows.write.mode("overwrite").parquet(str(bench.folder / "similar"))

    seconds, product, name = _compare_with_product(bench, ours, vectors, tasks)
    size = f"{n_items:,} items, rank {RANK}, {LISTED} neighbours"
    goal = ">= 0.4 of its throughput"
    return Comparison("item_similarity", size, seconds, name, product, goal, {"threads": tasks})


def recommendations(bench: Bench) -> Comparison:
    """Compare lists for all users with MLlib's recommendForAllUsers.

    Both use the factors of one fit. The lists leave out the items that users played, MLlib's do not. Users scale,
    items stay.
    """
    n_users = max(64, round(FULL_USERS * bench.scale))
    pairs = write_pairs(bench, generate_play_counts(n_users, FULL_ITEMS, n_users * PLAYS_A_USER, bench.seed))
    # One pass is enough for factors of every user and item.
    settings = AlsSettings(rank=RANK, max_iter=1, weighting="linear")
    model = als_estimator(settings, bench.seed, parallelism(bench.spark)).fit(als_observations(pairs, settings))
    factors = als_factors(model, pairs.count())
    user_vectors = factors.user_vectors.persist()
    matrix = write_item_matrix(factors.item_vectors, bench.folder / "items", FULL_ITEMS, MAX_BYTES)
    lists = partial(recommend_all, pairs, user_vectors, matrix, block_tasks(bench.spark))
    reference = partial(model.recommendForAllUsers, LISTED)
    seconds = take_turns(bench.repeats, timed(lambda: compute(lists())), timed(lambda: compute(reference())))
    user_vectors.unpersist()
    size = f"{n_users:,} users x {FULL_ITEMS:,} items, rank {RANK}, lists of {LISTED}"
    more = {"threads": parallelism(bench.spark)}
    return Comparison("recommendations", size, seconds[0], "MLlib recommendForAllUsers", seconds[1], ">= 5", more)


def recommend_all(pairs: DataFrame, user_vectors: DataFrame, matrix: ItemMatrix, tasks: int) -> DataFrame:
    """Return rows of recommendations for all users of `pairs` (user_idx, item_idx).

    Items that a user played are left out.
    """
    index = user_vectors.select("user_idx", F.col("user_idx").cast("string").alias("user_id"))
    users = recommendation_users(index, user_vectors, pairs.withColumn("confidence", F.lit(1.0)))
    scorer = DotScorer(matrix)
    return recommend(users, scorer, scorer, ListSettings(LISTED), tasks)


def _compare_with_product(
    bench: Bench, ours: Callable[[], None], vectors: Vectors, cores: int
) -> tuple[float, float, str]:
    """Return the seconds of `ours` and of the faster product, and the product's name."""
    with torch_threads(cores), ThreadPoolExecutor(cores) as pool:
        products: dict[str, Callable[[], None]] = {
            "torch.mm": lambda: _torch_product(torch.from_numpy(vectors)),
            "numpy.matmul": lambda: _numpy_product(vectors, pool, cores),
        }
        # Two calls each, because the first one also loads libraries.
        fastest = min(products, key=lambda name: timed(products[name], times=2)())
        seconds, product = take_turns(bench.repeats, timed(ours), timed(products[fastest]))
    return seconds, product, fastest


def _torch_product(vectors: torch.Tensor) -> None:
    out = torch.empty(BLOCK, len(vectors))
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        torch.mm(block, vectors.T, out=out[: len(block)])


def _numpy_product(vectors: Vectors, pool: ThreadPoolExecutor, cores: int) -> None:
    """Multiply blocks on `cores` threads, each thread every `cores`-th block."""

    def work(first: int) -> None:
        out = np.empty((BLOCK, len(vectors)), np.float32)
        for start in range(first * BLOCK, len(vectors), cores * BLOCK):
            block = vectors[start : start + BLOCK]
            np.matmul(block, vectors.T, out=out[: len(block)])

    list(pool.map(work, range(cores)))
