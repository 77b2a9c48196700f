"""Measure of EASE's closed form."""

import shutil
import time

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import functions as F

from recsys_spark.benchmark.comparison import Bench, Comparison, blas_threads, take_turns, timed
from recsys_spark.benchmark.data import describe_size, generate_histories, history_frame
from recsys_spark.models.ease import ease_weights
from recsys_spark.models.gram import gram_matrix
from recsys_spark.models.settings.ease import EaseSettings
from recsys_spark.ranking.matrix_writer import write_item_arrays
from recsys_spark.runtime.spark_context import parallelism

__all__ = ["closed_form", "ease"]

TILE_ITEMS = 1024


def ease(bench: Bench) -> Comparison:
    """Compare solving and writing EASE's weights with numpy.linalg.inv in memory.

    The package uses the symmetry of the Gram matrix and writes tiles to disk; both are part of its time.
    """
    rows, reg = generate_histories(bench.n_users(), bench.n_items, bench.seed), EaseSettings().reg
    frame = history_frame(bench.spark, rows, bench.folder / "histories.parquet")
    started = time.perf_counter()
    items = np.arange(bench.n_items, dtype=np.int32)
    listened = frame.select(F.col("indices").alias("item_idx"))
    gram = gram_matrix(listened, items, bench.folder / "gram", parallelism(bench.spark))
    gram_seconds = time.perf_counter() - started

    def solve() -> float:
        # The solver overwrites its input.
        own, n = gram.copy(), bench.n_items
        folder = bench.folder / "ease"
        seconds = timed(lambda: write_item_arrays(ease_weights(own, reg), folder, n, n, 4 * n**2, TILE_ITEMS))()
        shutil.rmtree(folder)
        return seconds

    full = np.triu(gram) + np.triu(gram, 1).T
    ours, reference = take_turns(bench.repeats, solve, timed(lambda: closed_form(full, reg)))
    more = {"threads": blas_threads(), "gram_seconds": gram_seconds}
    return Comparison("ease", describe_size(rows, bench.n_items), ours, "numpy.linalg.inv", reference, "<= 1.3", more)


def closed_form(gram: NDArray[np.float64], reg: float) -> NDArray[np.float64]:
    """Return EASE's weights B (n, n) from the full Gram matrix, by Steck (2019).

    B[i, j] = -P[i, j] / P[j, j], zero on the diagonal, where P is the inverse of the regularised Gram matrix.
    """
    inverse = np.linalg.inv(gram + reg * np.eye(len(gram)))
    weights: NDArray[np.float64] = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights
