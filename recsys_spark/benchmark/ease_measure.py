"""What EASE's closed form takes, tiles on disk included, against the formula as numpy writes it down."""

import shutil
import time

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import functions as F

from recsys_spark.benchmark.data import histories, history_frame, size_of
from recsys_spark.benchmark.measure import Bench, Line, blas_threads, take_turns, timed
from recsys_spark.models.ease import EaseSettings, ease_weights
from recsys_spark.models.gram import gram_matrix
from recsys_spark.ranking.matrix_files import save_item_matrix
from recsys_spark.runtime.session import parallelism

__all__ = ["closed_form", "ease"]

TILE_ITEMS = 1024


def ease(bench: Bench) -> Line:
    """Solving and writing, by half the work that a symmetric matrix leaves, against numpy.linalg.inv in memory."""
    rows, reg = histories(bench.n_users(), bench.n_items, bench.seed), EaseSettings().reg
    frame = history_frame(bench.spark, rows, bench.folder / "histories.parquet")
    started = time.perf_counter()
    items = np.arange(bench.n_items, dtype=np.int32)
    listened = frame.select(F.col("indices").alias("item_idx"))
    gram = gram_matrix(listened, items, bench.folder / "gram", parallelism(bench.spark))
    gram_seconds = time.perf_counter() - started

    def solve() -> float:
        # The solver overwrites what it is given.
        own, n = gram.copy(), bench.n_items
        folder = bench.folder / "ease"
        seconds = timed(lambda: save_item_matrix(ease_weights(own, reg), folder, n, n, 4 * n**2, TILE_ITEMS))()
        shutil.rmtree(folder)
        return seconds

    full = np.triu(gram) + np.triu(gram, 1).T
    ours, reference = take_turns(bench.repeats, solve, timed(lambda: closed_form(full, reg)))
    more = {"threads": blas_threads(), "gram_seconds": gram_seconds}
    return Line("ease", size_of(rows, bench.n_items), ours, "numpy.linalg.inv", reference, "<= 1.3", more)


def closed_form(gram: NDArray[np.float64], reg: float) -> NDArray[np.float64]:
    """B of Steck (2019), (n, n), from the whole Gram matrix: -P[i, j] / P[j, j], and zero on the diagonal."""
    inverse = np.linalg.inv(gram + reg * np.eye(len(gram)))
    weights: NDArray[np.float64] = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights
