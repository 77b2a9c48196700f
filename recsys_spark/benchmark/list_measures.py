"""What lists cost: nearest items beside the product that no exact search can do without, and top lists of users beside
MLlib's own.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.benchmark.lsa_measure import plays_matrix, stored_pairs
from recsys_spark.benchmark.measure import Bench, Line, compute, take_turns, timed, torch_threads
from recsys_spark.models.als import AlsSettings, als_estimator, als_factors, als_observations
from recsys_spark.ranking.item_matrix import ItemMatrix, write_item_matrix
from recsys_spark.ranking.matrix_files import save_item_matrix
from recsys_spark.ranking.scorer import DotScorer
from recsys_spark.recommend.recommendations import ListSettings, recommend, recommendation_users
from recsys_spark.recommend.similarity import item_similarity
from recsys_spark.runtime.session import block_tasks, parallelism

__all__ = ["LISTED", "MAX_BYTES", "item_similarity_lists", "lists_of_all", "recommendations"]

RANK, LISTED = 64, 100
SIMILAR_ITEMS = 50_000
FULL_USERS, FULL_ITEMS, PLAYS_A_USER = 60_000, 20_000, 50
BLOCK = 1024
MAX_BYTES = 1 << 30

Vectors = NDArray[np.float32]


def item_similarity_lists(bench: Bench) -> Line:
    """The table's rows, written to files by Spark, against the bare product of all items with all others by the faster
    of torch and numpy on as many cores.
    """
    n_items, tasks = max(BLOCK, round(SIMILAR_ITEMS * bench.scale)), parallelism(bench.spark)
    vectors = np.random.default_rng(bench.seed).normal(size=(n_items, RANK)).astype(np.float32)
    matrix = save_item_matrix(vectors, bench.folder / "items", n_items, RANK, MAX_BYTES)

    def ours() -> None:
        rows = item_similarity(bench.spark, matrix, LISTED, block_tasks(bench.spark))
        rows.write.mode("overwrite").parquet(str(bench.folder / "similar"))

    seconds, product, name = _beside_product(bench, ours, vectors, tasks)
    size = f"{n_items:,} items, rank {RANK}, {LISTED} neighbours"
    goal = ">= 0.4 of its throughput"
    return Line("item_similarity", size, seconds, name, product, goal, {"threads": tasks})


def recommendations(bench: Bench) -> Line:
    """Lists for all users without what they played, against MLlib's recommendForAllUsers, which leaves it in; both from
    the factors of one fit. Users scale, items stay.
    """
    n_users = max(64, round(FULL_USERS * bench.scale))
    pairs = stored_pairs(bench, plays_matrix(n_users, FULL_ITEMS, n_users * PLAYS_A_USER, bench.seed))
    # One pass is enough to have factors of every user and item.
    settings = AlsSettings(rank=RANK, max_iter=1, weighting="linear")
    model = als_estimator(settings, bench.seed, parallelism(bench.spark)).fit(als_observations(pairs, settings))
    factors = als_factors(model, pairs.count())
    user_vectors = factors.user_vectors.persist()
    matrix = write_item_matrix(factors.item_vectors, bench.folder / "items", FULL_ITEMS, MAX_BYTES)
    lists = partial(lists_of_all, pairs, user_vectors, matrix, block_tasks(bench.spark))
    theirs = partial(model.recommendForAllUsers, LISTED)
    seconds = take_turns(bench.repeats, timed(lambda: compute(lists())), timed(lambda: compute(theirs())))
    user_vectors.unpersist()
    size = f"{n_users:,} users x {FULL_ITEMS:,} items, rank {RANK}, lists of {LISTED}"
    more = {"threads": parallelism(bench.spark)}
    return Line("recommendations", size, seconds[0], "MLlib recommendForAllUsers", seconds[1], ">= 5", more)


def lists_of_all(pairs: DataFrame, user_vectors: DataFrame, matrix: ItemMatrix, tasks: int) -> DataFrame:
    """The rows of recommendations for all users of `pairs` (user_idx, item_idx), without what they played."""
    index = user_vectors.select("user_idx", F.col("user_idx").cast("string").alias("user_id"))
    users = recommendation_users(index, user_vectors, pairs.withColumn("confidence", F.lit(1.0)))
    scorer = DotScorer(matrix)
    return recommend(users, scorer, scorer, ListSettings(LISTED), tasks)


def _beside_product(bench: Bench, ours: Callable[[], None], vectors: Vectors, cores: int) -> tuple[float, float, str]:
    """Seconds of ours, of the faster product, and its name."""
    with torch_threads(cores), ThreadPoolExecutor(cores) as pool:
        products: dict[str, Callable[[], None]] = {
            "torch.mm": lambda: _torch_product(torch.from_numpy(vectors)),
            "numpy.matmul": lambda: _numpy_product(vectors, pool, cores),
        }
        # The first of two pays for what it loads.
        fastest = min(products, key=lambda name: timed(products[name], times=2)())
        seconds, product = take_turns(bench.repeats, timed(ours), timed(products[fastest]))
    return seconds, product, fastest


def _torch_product(vectors: torch.Tensor) -> None:
    out = torch.empty(BLOCK, len(vectors))
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        torch.mm(block, vectors.T, out=out[: len(block)])


def _numpy_product(vectors: Vectors, pool: ThreadPoolExecutor, cores: int) -> None:
    """Each core multiplies every so-many-th block, with one thread of its own."""

    def work(first: int) -> None:
        out = np.empty((BLOCK, len(vectors)), np.float32)
        for start in range(first * BLOCK, len(vectors), cores * BLOCK):
            block = vectors[start : start + BLOCK]
            np.matmul(block, vectors.T, out=out[: len(block)])

    list(pool.map(work, range(cores)))
