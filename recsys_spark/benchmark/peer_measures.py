"""Measures against the libraries `implicit` and RePlay.

Each library runs in an environment of its own, which `make peers` installs.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

from pyspark.sql import DataFrame
from scipy import sparse

from recsys_spark.benchmark.comparison import Bench, Comparison, compute, take_turns, timed
from recsys_spark.benchmark.data import describe_size, generate_histories
from recsys_spark.benchmark.list_measures import LISTED, MAX_BYTES, recommend_all
from recsys_spark.benchmark.lsa_measures import generate_play_counts, write_pairs
from recsys_spark.core.csr import Csr
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.paths import file_uri, literal_path
from recsys_spark.models.als import als_estimator, als_observations, fit_als
from recsys_spark.models.settings.als import AlsSettings
from recsys_spark.ranking.matrix_writer import write_item_matrix
from recsys_spark.recommend.similarity import item_similarity
from recsys_spark.runtime.spark_context import parallelism

__all__ = ["als_pass", "run_peer", "small_data"]

# MovieLens-1M's ratings of 4 and more have this shape.
SMALL_USERS, SMALL_ITEMS = 6040, 3706
# Users, items and pairs of the comparison of single passes.
FULL_USERS, FULL_ITEMS, FULL_PAIRS, PASSES = 120_000, 60_000, 7_200_000, 3
SETTINGS = AlsSettings(weighting="linear")
# Variables that would make the other program use this one's packages or Spark.
REMOVED_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "SPARK_HOME", "PYSPARK_PYTHON", "PYSPARK_GATEWAY_PORT", "VIRTUAL_ENV")


def small_data(bench: Bench) -> Comparison:
    """Compare ALS with its lists on small data with RePlay's ALSWrap.

    Both go from pairs in memory to factors, lists of all users without items that they played, and nearest items of
    all items, with the same rank and lengths. Each runs in its own Spark.
    """
    _peers_python(bench)
    n_users = bench.n_users(SMALL_USERS / bench.full_users)
    rows = generate_histories(n_users, SMALL_ITEMS, bench.seed)
    pairs = write_pairs(bench, _matrix(rows, SMALL_ITEMS)).persist()
    pairs.count()
    folder, parts = bench.folder / "interactions", []

    def ours() -> None:
        _fit_and_list(bench, pairs)

    def reference() -> float:
        arguments = (literal_path(file_uri(folder)), SETTINGS.rank, LISTED, LISTED, bench.seed)
        parts.append(run_peer(bench, "replay_als.py", *arguments))
        return sum(parts[-1].values())

    seconds = take_turns(bench.repeats, timed(ours), reference)
    pairs.unpersist()
    more = {
        "threads": parallelism(bench.spark),
        "reference_parts": {name: round(s, 1) for name, s in parts[-1].items()},
    }
    return Comparison(
        "small_data", describe_size(rows, SMALL_ITEMS), seconds[0], "RePlay ALSWrap", seconds[1], "<= 0.25", more
    )


def als_pass(bench: Bench) -> Comparison:
    """Compare one pass of MLlib's ALS with one of the `implicit` package.

    `implicit` runs with its exact solver and with conjugate gradients.
    """
    _peers_python(bench)
    n_users, n_items = (max(50, round(size * bench.scale)) for size in (FULL_USERS, FULL_ITEMS))
    plays = generate_play_counts(n_users, n_items, round(FULL_PAIRS * bench.scale), bench.seed)
    pairs = als_observations(write_pairs(bench, plays), SETTINGS).persist()
    pairs.count()
    file, cores = bench.folder / "plays.npz", parallelism(bench.spark)
    sparse.save_npz(file, plays)
    by_solver = []

    def fit(passes: int) -> None:
        estimator = als_estimator(SETTINGS.model_copy(update={"max_iter": passes}), bench.seed, cores)
        estimator.fit(pairs).itemFactors.count()

    def ours() -> float:
        # The difference removes the first pass and the set-up, which both fits include.
        return (timed(lambda: fit(1 + PASSES))() - timed(lambda: fit(1))()) / PASSES

    def reference() -> float:
        by_solver.append(run_peer(bench, "implicit_als.py", file, SETTINGS.rank, PASSES, SETTINGS.reg_param, cores))
        return by_solver[-1]["exact"]

    seconds = take_turns(bench.repeats, ours, reference)
    pairs.unpersist()
    more = {"threads": cores, "conjugate_gradient_seconds": by_solver[-1]["conjugate_gradient"]}
    size = f"{n_users:,} users x {n_items:,} items, {plays.nnz:,} pairs, rank {SETTINGS.rank}"
    return Comparison("als_pass", size, seconds[0], "implicit, exact", seconds[1], "", more)


def run_peer(bench: Bench, program: str, *arguments: object) -> dict[str, float]:
    """Run a program of peers/ and return the JSON object in its last line.

    Raises ConfigError if benchmark.peers is not set or the program fails.
    """
    python = _peers_python(bench)
    script = Path(__file__).with_name("peers") / program
    environment = {name: value for name, value in os.environ.items() if name not in REMOVED_VARIABLES}
    environment |= {"PYSPARK_PYTHON": python, "SPARK_LOCAL_IP": "127.0.0.1"}
    command = [python, str(script), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"benchmark.peers: {program} failed: {done.stderr.strip()[-1000:]}")
    seconds: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return seconds


def _fit_and_list(bench: Bench, pairs: DataFrame) -> None:
    tasks, folder = parallelism(bench.spark), bench.folder / "items"
    shutil.rmtree(folder, ignore_errors=True)
    factors = fit_als(pairs, SETTINGS, bench.seed, tasks)
    matrix = write_item_matrix(factors.item_vectors, folder, SMALL_ITEMS, MAX_BYTES)
    compute(recommend_all(pairs, factors.user_vectors, matrix, tasks))
    compute(item_similarity(bench.spark, matrix, LISTED, tasks))


def _matrix(rows: Csr, n_items: int) -> sparse.csr_matrix:
    return sparse.csr_matrix((rows.values, rows.indices, rows.indptr), (len(rows), n_items))


def _peers_python(bench: Bench) -> str:
    if bench.peers is None:
        raise ConfigError(
            "benchmark.peers is not set; this measure needs a Python with other libraries: run `make peers`, then"
            " add --benchmark.peers .venv-peers/bin/python"
        )
    return bench.peers
