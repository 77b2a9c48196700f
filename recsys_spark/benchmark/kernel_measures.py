"""Measures of the kernel of lists: dot products and their best items, without Spark."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys_spark.benchmark.comparison import Bench, Comparison, take_turns, timed
from recsys_spark.benchmark.lsa_measures import generate_play_counts, write_pairs
from recsys_spark.models.als import als_estimator, als_factors, als_observations
from recsys_spark.models.settings.als import AlsSettings
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.matrix_writer import write_item_matrix
from recsys_spark.ranking.products import dot_scores
from recsys_spark.ranking.scores import exclude_pairs
from recsys_spark.ranking.top_n import top_n
from recsys_spark.recommend.recommendations import BLOCK_USERS
from recsys_spark.runtime.spark_context import parallelism

__all__ = ["list_kernel"]

FULL_USERS, ITEMS, PLAYS_A_USER = 40_000, 40_000, 50
RANK, PASSES, LISTED_USERS = 64, 3, 4096
PRODUCT_USERS, PRODUCT_ITEMS = 256, 4096
MAX_BYTES = 1 << 30

Vectors = NDArray[np.float32]


class _Factors(NamedTuple):
    """Vectors of users, (n, rank), their played items (n, n_items), and the matrix of items."""

    users: Vectors
    plays: sparse.csr_matrix
    matrix: ItemMatrix


def list_kernel(length: int, bench: Bench) -> Comparison:
    """Compare lists of `length` items with the bare matrix product, both on one thread.

    Vectors are those of a fit of ALS. Lists have exact scores and leave out the items that users played. Training users
    scale, items stay.
    """
    users, plays, matrix = _fit(bench)
    items = matrix.whole()
    items = items[items.any(axis=1)]

    def lists() -> None:
        for start in range(0, len(users), BLOCK_USERS):
            seen = plays[start : start + BLOCK_USERS].tocoo()
            scores = dot_scores(matrix, users[start : start + BLOCK_USERS])
            top_n(exclude_pairs(scores, seen.row, seen.col), length)

    with threadpool_limits(1, user_api="blas"):
        seconds, product = take_turns(bench.repeats, timed(lists, 2), timed(lambda: _product(users, items), 2))
    size = f"{len(users):,} users x {len(items):,} items, rank {RANK}, lists of {length}"
    return Comparison(f"list_kernel_{length}", size, seconds, "numpy.matmul", product, "<= 0.6", {"threads": 1})


def _fit(bench: Bench) -> _Factors:
    """Fit ALS on generated plays; at most LISTED_USERS vectors of users are collected."""
    n_users = max(64, round(FULL_USERS * bench.scale))
    plays = generate_play_counts(n_users, ITEMS, n_users * PLAYS_A_USER, bench.seed)
    pairs = write_pairs(bench, plays)
    settings = AlsSettings(rank=RANK, max_iter=PASSES, weighting="linear")
    model = als_estimator(settings, bench.seed, parallelism(bench.spark)).fit(als_observations(pairs, settings))
    factors = als_factors(model, pairs.count())
    matrix = write_item_matrix(factors.item_vectors, bench.folder / "items", ITEMS, MAX_BYTES)
    rows = factors.user_vectors.where(f"user_idx < {LISTED_USERS}").orderBy("user_idx").collect()
    users = np.array([row["vector"] for row in rows], dtype=np.float32)
    return _Factors(users, plays[[row["user_idx"] for row in rows]], matrix)


def _product(users: Vectors, items: Vectors) -> None:
    out = np.empty(PRODUCT_USERS * PRODUCT_ITEMS, np.float32)
    for start in range(0, len(users), PRODUCT_USERS):
        block = users[start : start + PRODUCT_USERS]
        for first in range(0, len(items), PRODUCT_ITEMS):
            tile = items[first : first + PRODUCT_ITEMS]
            np.matmul(block, tile.T, out=out[: len(block) * len(tile)].reshape(len(block), len(tile)))
