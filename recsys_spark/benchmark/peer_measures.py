"""Ours beside two libraries that people would take instead; each runs in an environment of its own (`make peers`)."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from pyspark.sql import DataFrame
from scipy import sparse

from recsys_spark.benchmark.data import histories, size_of
from recsys_spark.benchmark.list_measures import LISTED, MAX_BYTES, lists_of_all
from recsys_spark.benchmark.lsa_measure import plays_matrix, stored_pairs
from recsys_spark.benchmark.measure import Bench, Line, compute, take_turns, timed
from recsys_spark.core.csr import Csr
from recsys_spark.core.errors import ConfigError
from recsys_spark.models.als import AlsSettings, als_estimator, als_observations, fit_als
from recsys_spark.ranking.item_matrix import write_item_matrix
from recsys_spark.recommend.similarity import item_similarity
from recsys_spark.runtime.session import parallelism

__all__ = ["als_pass", "ask", "small_data"]

# MovieLens-1M's ratings of 4 and more have this shape.
SMALL_USERS, SMALL_ITEMS = 6040, 3706
# Users, items and pairs of the comparison of single passes.
FULL_USERS, FULL_ITEMS, FULL_PAIRS, PASSES = 120_000, 60_000, 7_200_000, 3
SETTINGS = AlsSettings(weighting="linear")
# What would make the other program use this one's packages or Spark.
NOT_PASSED_ON = ("PYTHONPATH", "PYTHONHOME", "SPARK_HOME", "PYSPARK_PYTHON", "PYSPARK_GATEWAY_PORT", "VIRTUAL_ENV")


def small_data(bench: Bench) -> Line:
    """From pairs in memory to factors, lists of all users without what they played and nearest items of all items, on
    small data; against RePlay's ALSWrap doing the same with the same rank and lengths. Each runs in its own Spark.
    """
    _python(bench)
    n_users = bench.n_users(SMALL_USERS / bench.full_users)
    rows = histories(n_users, SMALL_ITEMS, bench.seed)
    pairs = stored_pairs(bench, _matrix(rows, SMALL_ITEMS)).persist()
    pairs.count()
    folder, parts = bench.folder / "interactions", []

    def ours() -> None:
        _fit_and_list(bench, pairs)

    def reference() -> float:
        arguments = (folder.absolute().as_uri(), SETTINGS.rank, LISTED, LISTED, bench.seed)
        parts.append(ask(bench, "replay_als.py", *arguments))
        return sum(parts[-1].values())

    seconds = take_turns(bench.repeats, timed(ours), reference)
    pairs.unpersist()
    more = {
        "threads": parallelism(bench.spark),
        "reference_parts": {name: round(s, 1) for name, s in parts[-1].items()},
    }
    return Line("small_data", size_of(rows, SMALL_ITEMS), seconds[0], "RePlay ALSWrap", seconds[1], "<= 0.25", more)


def als_pass(bench: Bench) -> Line:
    """Seconds of a pass of MLlib's ALS beside those of the `implicit` package, exact and by conjugate gradients."""
    _python(bench)
    n_users, n_items = (max(50, round(size * bench.scale)) for size in (FULL_USERS, FULL_ITEMS))
    plays = plays_matrix(n_users, n_items, round(FULL_PAIRS * bench.scale), bench.seed)
    pairs = als_observations(stored_pairs(bench, plays), SETTINGS).persist()
    pairs.count()
    file, cores = bench.folder / "plays.npz", parallelism(bench.spark)
    sparse.save_npz(file, plays)
    by_solver = []

    def fit(passes: int) -> None:
        estimator = als_estimator(SETTINGS.model_copy(update={"max_iter": passes}), bench.seed, cores)
        estimator.fit(pairs).itemFactors.count()

    def ours() -> float:
        # What the first pass and the set-up take stands in both.
        return (timed(lambda: fit(1 + PASSES))() - timed(lambda: fit(1))()) / PASSES

    def reference() -> float:
        by_solver.append(ask(bench, "implicit_als.py", file, SETTINGS.rank, PASSES, SETTINGS.reg_param, cores))
        return by_solver[-1]["exact"]

    seconds = take_turns(bench.repeats, ours, reference)
    pairs.unpersist()
    more = {"threads": cores, "conjugate_gradient_seconds": by_solver[-1]["conjugate_gradient"]}
    size = f"{n_users:,} users x {n_items:,} items, {plays.nnz:,} pairs, rank {SETTINGS.rank}"
    return Line("als_pass", size, seconds[0], "implicit, exact", seconds[1], "", more)


def ask(bench: Bench, program: str, *arguments: object) -> dict[str, float]:
    """What a program of peers/ prints last.

    Raises ConfigError where no Python is named for it, or that one fails.
    """
    python = _python(bench)
    script = Path(__file__).with_name("peers") / program
    environment = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
    environment |= {"PYSPARK_PYTHON": python, "SPARK_LOCAL_IP": "127.0.0.1"}
    command = [python, str(script), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"benchmark.peers: {program} failed: {done.stderr.strip()[-1000:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _fit_and_list(bench: Bench, pairs: DataFrame) -> None:
    tasks, folder = parallelism(bench.spark), bench.folder / "items"
    shutil.rmtree(folder, ignore_errors=True)
    factors = fit_als(pairs, SETTINGS, bench.seed, tasks)
    matrix = write_item_matrix(factors.item_vectors, folder, SMALL_ITEMS, MAX_BYTES)
    compute(lists_of_all(pairs, factors.user_vectors, matrix, tasks))
    compute(item_similarity(bench.spark, matrix, LISTED, tasks))


def _matrix(rows: Csr, n_items: int) -> sparse.csr_matrix:
    return sparse.csr_matrix((rows.values, rows.indices, rows.indptr), (len(rows), n_items))


def _python(bench: Bench) -> str:
    if bench.peers is None:
        raise ConfigError(
            "benchmark.peers names no Python with the libraries to compare with: run `make peers`, then "
            "--benchmark.peers .venv-peers/bin/python"
        )
    return bench.peers
