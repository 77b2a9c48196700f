"""Measures of whole jobs: ingestion, ALS training, and growth with the number of rows."""

import shutil
import time
from math import log2
from pathlib import Path

from recsys_spark.benchmark.comparison import Bench, Comparison, take_turns
from recsys_spark.benchmark.job_runner import JobRunner, play_files, write_plays
from recsys_spark.models.als import als_estimator, als_observations
from recsys_spark.models.settings.als import AlsSettings
from recsys_spark.runtime.spark_context import parallelism

__all__ = ["als_job", "ingestion", "ingestion_again", "row_scaling"]

NEW_SHARE = 0.01
FIELDS = "user_id STRING, mbid STRING, item_name STRING, play_count BIGINT"
TIMES = (1, 2, 4)
STEPS = ("ingest_plays", "build_interactions", "train_spark_model", "build_item_similarity", "build_recommendations")


def ingestion(bench: Bench) -> Comparison:
    """Compare ingestion of raw files with Spark copying the same text to Parquet.

    Ingestion writes plays, users, items and quarantine, and accounts for every row.
    """
    raw = bench.folder / "raw"
    size = write_plays(bench, raw, bench.scale, bench.seed)

    def ours() -> float:
        runner = JobRunner(bench, bench.folder / "tables", raw)
        seconds = runner.run("ingest_plays")
        runner.remove()
        return seconds

    def reference() -> float:
        files, target = [str(file) for file in play_files(raw)], str(bench.folder / "bare")
        started = time.perf_counter()
        text = bench.spark.read.schema(FIELDS).options(sep="\t", quote="").csv(files)
        text.write.mode("overwrite").parquet(target)
        return time.perf_counter() - started

    seconds = take_turns(bench.repeats, ours, reference)
    more = {"threads": parallelism(bench.spark)}
    return Comparison("ingestion", size, seconds[0], "Spark CSV to Parquet", seconds[1], "<= 2.5", more)


def ingestion_again(bench: Bench) -> Comparison:
    """Compare a second ingestion with 1 % new rows with the first."""
    raw, extra = bench.folder / "raw", bench.folder / "extra"
    size = write_plays(bench, raw, bench.scale, bench.seed)
    write_plays(bench, extra, bench.scale * NEW_SHARE, bench.seed + 1)
    runner, arrived = JobRunner(bench, bench.folder / "tables", raw), play_files(raw)[0].parent

    def first() -> float:
        return runner.run("ingest_plays")

    def second() -> float:
        new = [_copy_new_file(file, arrived) for file in play_files(extra)]
        seconds = runner.run("ingest_plays")
        runner.remove()
        for file in new:
            file.unlink()
        return seconds

    # take_turns calls the first ingestion before the second in every turn.
    earlier, later = take_turns(bench.repeats, first, second)
    more = {"threads": parallelism(bench.spark)}
    return Comparison("ingestion_again", size, later, "the first run", earlier, "<= 0.1", more)


def als_job(bench: Bench) -> Comparison:
    """Compare the ALS training job with MLlib's fit of the same pairs in memory.

    The job reads interactions and writes vectors and a model version.
    """
    runner = JobRunner(bench, bench.folder / "tables", bench.folder / "raw")
    size = write_plays(bench, runner.raw, bench.scale, bench.seed)
    for job in ("ingest_plays", "build_interactions"):
        runner.run(job)
    settings, blocks = AlsSettings(), parallelism(bench.spark)
    observations = als_observations(runner.table("interactions"), settings).select("user_idx", "item_idx", "confidence")
    ready = observations.repartition(blocks, "user_idx").persist()
    n_pairs, seeds = ready.count(), iter(range(bench.seed, bench.seed + bench.repeats))

    def ours() -> float:
        # A new seed gives a new model version; the job skips versions that exist.
        return runner.run("train_spark_model", model__kind="als", run__seed=str(next(seeds)))

    def reference() -> float:
        started = time.perf_counter()
        model = als_estimator(settings, bench.seed, blocks).fit(ready)
        for factors in (model.userFactors, model.itemFactors):
            factors.count()
        return time.perf_counter() - started

    seconds = take_turns(bench.repeats, ours, reference)
    ready.unpersist()
    runner.remove()
    more = {
        "threads": blocks,
        "pairs": n_pairs,
        "rank": settings.rank,
        "fit_seconds_a_pass": seconds[1] / settings.max_iter,
    }
    return Comparison("als_job", size, seconds[0], "MLlib's fit alone", seconds[1], "<= 1.18", more)


def row_scaling(bench: Bench) -> Comparison:
    """Compare all steps on four times the rows with four times their seconds.

    `exponents` are powers of the number of rows, from the seconds of the smallest and the largest data: 1 is linear
    growth, 0 is a constant time.
    """
    seconds, size = {}, ""
    # The smallest size runs once more, first and unmeasured, because the first run of a session also warms it up.
    for times in (TIMES[0], *TIMES):
        runner = JobRunner(bench, bench.folder / f"tables-{times}", bench.folder / f"raw-{times}")
        size = write_plays(bench, runner.raw, bench.scale * times / TIMES[-1], bench.seed)
        seconds[times] = {step: runner.run(step, model__kind="als") for step in STEPS}
        runner.remove()
    least, most = seconds[TIMES[0]], seconds[TIMES[-1]]
    more = {
        "threads": parallelism(bench.spark),
        "exponents": {step: round(log2(most[step] / least[step]) / log2(TIMES[-1]), 2) for step in STEPS},
        "seconds": {step: [round(seconds[times][step], 1) for times in TIMES] for step in STEPS},
    }
    expected = TIMES[-1] * sum(least.values())
    return Comparison("row_scaling", size, sum(most.values()), "linear in rows", expected, "<= 1", more)


def _copy_new_file(file: Path, folder: Path) -> Path:
    new = folder / f"later-{file.name}"
    shutil.copyfile(file, new)
    return new
