"""Measures of ALS by conjugate gradient on blocks, against `implicit` and MLlib.

Both solve on the same pairs, with the same rank and number of threads. `implicit` has its matrix in the memory of one
process. The objective of each result is computed here from its factors, in the scaling of the other program.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from scipy import sparse

from recsys_spark.benchmark.comparison import Bench, Comparison, take_turns
from recsys_spark.benchmark.lsa_measures import FULL_ITEMS, FULL_PAIRS, FULL_USERS, generate_play_counts, write_pairs
from recsys_spark.benchmark.peer_measures import run_peer
from recsys_spark.core.paths import file_uri
from recsys_spark.models.als import als_observations, fit_als
from recsys_spark.models.block_als.fit import BlockFit, fit_blocks
from recsys_spark.models.block_als.objective import Objective
from recsys_spark.models.block_als.training import Passes
from recsys_spark.models.settings.als import AlsSettings
from recsys_spark.runtime.spark_context import parallelism

__all__ = ["als_mllib", "als_solver", "total_objective"]

ITERATIONS, REG_PARAM = 3, 0.15
# An iteration of MLlib takes minutes.
MLLIB_ITERATIONS = 2
MLLIB_GOALS = {64: ">= 8", 128: ">= 15", 256: ">= 25"}
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class _Data:
    plays: sparse.csr_matrix
    file: Path
    observations: DataFrame
    settings: AlsSettings


def als_solver(rank: int, bench: Bench) -> Comparison:
    """Compare an iteration with one of the conjugate gradient of `implicit`."""
    data, threads = _prepare(bench, rank), parallelism(bench.spark)
    # A small start, as the other program has.
    objective, scale = Objective(REG_PARAM, 1.0, implicit=True, reg_exponent=0.0), 0.1
    fits: list[BlockFit] = []
    peers: list[dict[str, float]] = []

    def ours() -> float:
        fits.append(_fit_blocks(bench, data, objective, scale))
        return _seconds(fits[-1])

    def reference() -> float:
        arguments = (data.file, rank, ITERATIONS, REG_PARAM, threads, bench.folder / "peer.npz")
        peers.append(run_peer(bench, "implicit_cg.py", *arguments))
        return peers[-1]["seconds"]

    seconds = take_turns(bench.repeats, ours, reference)
    peer = np.load(bench.folder / "peer.npz", allow_pickle=False)
    theirs = total_objective(data.plays, peer["users"], peer["items"], objective)
    data.observations.unpersist()
    more = {
        "rank": rank,
        "threads": threads,
        "objective_ratio": fits[-1].objectives[-1] / theirs,
        "set_up_seconds": fits[-1].set_up_seconds,
    }
    name = f"als_solver_{rank}"
    return Comparison(name, _size(data), seconds[0], "implicit, conjugate gradient", seconds[1], "<= 1.1", more)


def als_mllib(rank: int, bench: Bench) -> Comparison:
    """Compare an iteration with one of MLlib, and the objectives after MLLIB_ITERATIONS."""
    data = _prepare(bench, rank)
    objective = Objective(REG_PARAM, 1.0, implicit=True)
    fits: list[BlockFit] = []
    peers: list[float] = []

    def ours() -> float:
        fits.append(_fit_blocks(bench, data, objective, data.settings.start_scale))
        return _seconds(fits[-1])

    def reference() -> float:
        seconds, theirs = _mllib(bench, data, objective)
        peers.append(theirs)
        return seconds

    seconds = take_turns(bench.repeats, ours, reference)
    data.observations.unpersist()
    more = {
        "rank": rank,
        "threads": parallelism(bench.spark),
        "objective_ratio": fits[-1].objectives[2 * MLLIB_ITERATIONS - 1] / peers[-1],
        "set_up_seconds": fits[-1].set_up_seconds,
    }
    return Comparison(f"als_mllib_{rank}", _size(data), seconds[0], "MLlib", seconds[1], MLLIB_GOALS[rank], more)


def total_objective(plays: sparse.csr_matrix, users: Floats, items: Floats, objective: Objective) -> float:
    """Return the implicit objective over all pairs of (n_users, n_items), computed in float64."""
    users, items = users.astype(np.float64), items.astype(np.float64)
    weights, targets, _ = objective.pair_terms(plays.data.astype(np.float64))
    gram = objective.base_weight * items.T @ items
    total = float(np.einsum("uk,kl,ul->", users, gram, users, optimize=True))
    starts = plays.indptr
    for first in range(0, plays.shape[0], 4096):
        last = min(first + 4096, plays.shape[0])
        entries = slice(starts[first], starts[last])
        rows = np.repeat(np.arange(first, last), np.diff(starts[first : last + 1]))
        scores = np.einsum("nk,nk->n", users[rows], items[plays.indices[entries]])
        total += float((weights[entries] * scores**2 - 2 * targets[entries] * scores + targets[entries]).sum())
    for factors, counts, others in (
        (users, np.diff(starts), len(items)),
        (items, np.bincount(plays.indices, minlength=len(items)), len(users)),
    ):
        total += float((objective.ridge(counts, others) * (factors**2).sum(axis=1))[counts > 0].sum())
    return total


def _seconds(fit: BlockFit) -> float:
    """Return the mean seconds of an iteration.

    The first one is left out: it starts the workers and loads the kernel.
    """
    return 2 * mean(fit.seconds[2:])


def _size(data: _Data) -> str:
    n_users, n_items = data.plays.shape
    return f"{n_users:,} users x {n_items:,} items, {data.plays.nnz:,} pairs, rank {data.settings.rank}"


def _prepare(bench: Bench, rank: int) -> _Data:
    n_users, n_items = (max(200, round(size * bench.scale)) for size in (FULL_USERS, FULL_ITEMS))
    plays = generate_play_counts(n_users, n_items, round(FULL_PAIRS * bench.scale), bench.seed)
    # A row without plays has no factors here, and random ones in the other program.
    plays = plays[np.diff(plays.indptr) > 0][:, np.bincount(plays.indices, minlength=plays.shape[1]) > 0].tocsr()
    settings = AlsSettings(rank=rank, weighting="log", max_iter=ITERATIONS, reg_param=REG_PARAM)
    observations = als_observations(write_pairs(bench, plays), settings).persist()
    observations.count()
    plays.data = np.log1p(plays.data).astype(np.float32)
    sparse.save_npz(bench.folder / "plays.npz", plays)
    return _Data(plays, bench.folder / "plays.npz", observations, settings)


def _fit_blocks(bench: Bench, data: _Data, objective: Objective, scale: float) -> BlockFit:
    folder = bench.folder / "block_als"
    shutil.rmtree(folder, ignore_errors=True)
    settings = data.settings
    passes = Passes(objective, settings.rank, ITERATIONS, settings.cg_steps, bench.seed, scale)
    pairs = data.observations.select("user_idx", "item_idx", "confidence")
    fit = fit_blocks(pairs, folder, 2 * parallelism(bench.spark), passes, {})
    assert fit is not None
    return fit


def _mllib(bench: Bench, data: _Data, objective: Objective) -> tuple[float, float]:
    """Return the seconds of an iteration of MLlib, and its last objective."""

    def fit(iterations: int) -> tuple[float, Callable[[], float]]:
        settings, started = data.settings.model_copy(update={"max_iter": iterations}), time.perf_counter()
        factors = fit_als(data.observations, settings, bench.seed, parallelism(bench.spark))
        files = {}
        for name, frame in (("users", factors.user_vectors), ("items", factors.item_vectors)):
            files[name] = bench.folder / f"mllib-{name}-{iterations}"
            frame.write.parquet(file_uri(files[name]))
        seconds = time.perf_counter() - started

        def objective_of() -> float:
            return total_objective(data.plays, _read_vectors(files["users"]), _read_vectors(files["items"]), objective)

        return seconds, objective_of

    first, _ = fit(1)
    last, objective_of = fit(MLLIB_ITERATIONS)
    return (last - first) / (MLLIB_ITERATIONS - 1), objective_of()


def _read_vectors(folder: Path) -> NDArray[np.float32]:
    table = pq.read_table(folder)
    numbers = table.column(0).to_numpy()
    flat = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = np.empty((numbers.size, flat.size // numbers.size), np.float32)
    vectors[numbers] = flat.reshape(numbers.size, -1)
    return vectors
