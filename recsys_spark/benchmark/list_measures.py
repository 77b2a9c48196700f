"""What lists cost: nearest items beside the product that no exact search can do without, and top lists of users beside
MLlib's own.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from pyspark.ml.recommendation import ALS, ALSModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.benchmark.lsa_measure import plays_matrix, stored_pairs
from recsys_spark.benchmark.measure import Bench, Line, take_turns, timed, torch_threads
from recsys_spark.outputs.recommendations import ListSettings, recommend, recommendation_users
from recsys_spark.outputs.similarity import item_similarity
from recsys_spark.ranking.item_matrix import write_item_matrix
from recsys_spark.ranking.matrix_files import save_item_matrix
from recsys_spark.ranking.scorer import DotScorer
from recsys_spark.session import block_tasks, parallelism

__all__ = ["item_similarity_lists", "recommendations"]

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
    model = _fitted(pairs, bench.seed)
    vectors = model.itemFactors.select(F.col("id").alias("item_idx"), F.col("features").alias("vector"))
    scorer = DotScorer(write_item_matrix(vectors, bench.folder / "items", FULL_ITEMS, MAX_BYTES))
    user_vectors = model.userFactors.select(F.col("id").alias("user_idx"), F.col("features").alias("vector")).persist()
    tasks = block_tasks(bench.spark)

    def ours() -> None:
        index = pairs.select("user_idx").distinct().withColumn("user_id", F.col("user_idx").cast("string"))
        users = recommendation_users(index, user_vectors, pairs.withColumn("confidence", F.lit(1.0)))
        _run(recommend(users, scorer, scorer, ListSettings(LISTED), tasks))

    seconds = take_turns(bench.repeats, timed(ours), timed(lambda: _run(model.recommendForAllUsers(LISTED))))
    user_vectors.unpersist()
    size = f"{n_users:,} users x {FULL_ITEMS:,} items, rank {RANK}, lists of {LISTED}"
    more = {"threads": parallelism(bench.spark)}
    return Line("recommendations", size, seconds[0], "MLlib recommendForAllUsers", seconds[1], ">= 5", more)


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


def _fitted(pairs: DataFrame, seed: int) -> ALSModel:
    """One pass is enough to have factors of every user and item."""
    als = ALS(userCol="user_idx", itemCol="item_idx", ratingCol="play_count", rank=RANK, maxIter=1, seed=seed)
    return als.setImplicitPrefs(True).setColdStartStrategy("nan").fit(pairs)


def _run(rows: DataFrame) -> None:
    rows.write.format("noop").mode("overwrite").save()
