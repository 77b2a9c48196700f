"""Measure of the truncated SVD of LSA.

The reference is scikit-learn's randomised SVD (Halko, Martinsson and Tropp 2011) in the memory of one process. It uses
LU between the products, scikit-learn's default for as many iterations.
"""

import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from recsys_spark.benchmark.comparison import Bench, Comparison, blas_threads, compute, take_turns
from recsys_spark.core.paths import file_uri, literal_path
from recsys_spark.models.lsa import Lsa
from recsys_spark.models.settings.lsa import LsaSettings
from recsys_spark.runtime.spark_context import parallelism

__all__ = ["generate_play_counts", "lsa", "reference_svd", "write_pairs"]

# The shape of Last.fm 360K.
FULL_USERS, FULL_ITEMS, FULL_PAIRS = 360_000, 160_000, 17_600_000
SETTINGS = LsaSettings(weighting="linear")
# Popularity falls with this power of an item's popularity rank.
POWER = 0.8

Floats = NDArray[np.float64]


def lsa(bench: Bench) -> Comparison:
    """Compare LSA on Spark, from stored pairs to vectors, with a randomised SVD in memory.

    The package reads, distributes and weights the pairs, and computes vectors of users and items. The reference has
    its matrix in memory. Users, items and pairs scale together.
    """
    n_users, n_items = round(FULL_USERS * bench.scale), round(FULL_ITEMS * bench.scale)
    plays = generate_play_counts(n_users, n_items, round(FULL_PAIRS * bench.scale), bench.seed)
    pairs = write_pairs(bench, plays)

    def ours() -> float:
        folder = bench.folder / "lsa"
        folder.mkdir()
        started = time.perf_counter()
        fitted = Lsa(SETTINGS).fit(pairs, folder, bench.seed, parallelism(bench.spark))
        assert fitted.user_vectors is not None
        compute(fitted.user_vectors)
        seconds = time.perf_counter() - started
        for frame in fitted.cached:
            frame.unpersist()
        shutil.rmtree(folder)
        return seconds

    def reference() -> float:
        started = time.perf_counter()
        reference_svd(plays, SETTINGS, bench.seed)
        return time.perf_counter() - started

    seconds = take_turns(bench.repeats, ours, reference)
    size = f"{n_users:,} users x {n_items:,} items, {plays.nnz:,} pairs, rank {SETTINGS.rank}"
    more = {"threads": blas_threads(), "tasks": parallelism(bench.spark)}
    return Comparison("lsa", size, seconds[0], "scikit-learn randomized_svd", seconds[1], "<= 3", more)


def generate_play_counts(n_users: int, n_items: int, n_pairs: int, seed: int) -> sparse.csr_matrix:
    """Return play counts (n_users, n_items) with about `n_pairs` entries.

    Counts have a long tail, and a few items have most of the entries.
    """
    generator = np.random.default_rng(seed)
    weights = generator.permutation((np.arange(n_items) + 1.0) ** -POWER)
    drawn = int(1.5 * n_pairs)
    items = np.searchsorted(np.cumsum(weights / weights.sum()), generator.random(drawn)).clip(max=n_items - 1)
    cells = np.unique(generator.integers(n_users, size=drawn) * n_items + items)
    cells = np.sort(generator.permutation(cells)[:n_pairs])
    counts = generator.geometric(0.02, cells.size).astype(np.float64)
    return sparse.csr_matrix((counts, (cells // n_items, cells % n_items)), (n_users, n_items))


def reference_svd(plays: sparse.csr_matrix, settings: LsaSettings, seed: int) -> tuple[Floats, Floats, Floats]:
    """Return scikit-learn's SVD with these settings.

    Left vectors (n, rank), singular values (rank,) and right vectors (rank, m).
    """
    found: tuple[Floats, Floats, Floats] = randomized_svd(
        plays,
        settings.rank,
        n_oversamples=settings.oversampling,
        n_iter=settings.iterations,
        power_iteration_normalizer="LU",
        random_state=seed,
    )
    return found


def write_pairs(bench: Bench, plays: sparse.csr_matrix) -> DataFrame:
    """Write plays as interactions, one Parquet file a parallel task, and return their frame."""
    entries, folder = plays.tocoo(), bench.folder / "interactions"
    folder.mkdir(parents=True)
    columns = {"user_idx": entries.row, "item_idx": entries.col, "play_count": entries.data.astype(np.int64)}
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    rows = -(-table.num_rows // parallelism(bench.spark))
    for number in range(parallelism(bench.spark)):
        pq.write_table(table.slice(number * rows, rows), folder / f"{number}.parquet")
    return bench.spark.read.parquet(literal_path(file_uri(Path(folder))))
