"""Measure of ingestion from many small files."""

from pathlib import Path

import numpy as np

from recsys_spark.benchmark.comparison import Bench, Comparison, take_turns
from recsys_spark.benchmark.job_runner import JobRunner
from recsys_spark.runtime.spark_context import parallelism, started_jobs

__all__ = ["small_files"]

FULL_FILES = 10_000
ROWS = 100
NEW_SHARE = 0.01
FLAGS = {"source__format": "plays", "source__columns__played_at": "played_at"}
# Seconds that the plays of one file spread over, from this time on.
SPAN = 3_600
FIRST_SECOND = 1_600_000_000


def small_files(bench: Bench) -> Comparison:
    """Compare the ingestion of 1 % new small files with that of all earlier ones.

    Each file has 100 plays. `jobs` and `jobs_first` are the Spark jobs of the two runs.
    """
    n_files = max(4, round(FULL_FILES * bench.scale))
    n_new = max(1, round(n_files * NEW_SHARE))
    raw = bench.folder / "raw"
    write_files(raw, range(n_files), bench.seed)
    runner, jobs = JobRunner(bench, bench.folder / "tables", raw), {"first": 0, "later": 0}

    def run(name: str) -> float:
        before = started_jobs(bench.spark)
        seconds = runner.run("ingest_plays", **FLAGS)
        # The count itself starts one job.
        jobs[name] = started_jobs(bench.spark) - before - 1
        return seconds

    def later() -> float:
        new = write_files(raw, range(n_files, n_files + n_new), bench.seed)
        seconds = run("later")
        runner.remove()
        for file in new:
            file.unlink()
        return seconds

    # take_turns calls the first ingestion before the second in every turn.
    first_seconds, later_seconds = take_turns(bench.repeats, lambda: run("first"), later)
    more = {"threads": parallelism(bench.spark), "jobs": jobs["later"], "jobs_first": jobs["first"]}
    size = f"{n_files:,} files and {n_new:,} new ones, {ROWS} rows each"
    return Comparison("small_files", size, later_seconds, "the first run", first_seconds, "<= 0.25", more)


def write_files(folder: Path, numbers: range, seed: int) -> list[Path]:
    """Write one CSV of plays for each number and return the paths; a number gives the same file again."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in numbers:
        chance = np.random.default_rng((seed, number))
        users, items = chance.integers(0, 100_000, ROWS), chance.integers(0, 5_000, ROWS)
        seconds = FIRST_SECOND + SPAN * number + chance.integers(0, SPAN, ROWS)
        rows = [f"u{user},i{item},{second}\n" for user, item, second in zip(users, items, seconds, strict=True)]
        path = folder / f"day-{number:06d}.csv"
        path.write_text("".join(["user_id,item_id,played_at\n", *rows]))
        paths.append(path)
    return paths
