"""Play logs made up on Spark, from a few thousand rows to the full size of the public data sets.

Users mix taste groups, groups lean to a gender, items have a long tail (tastes.py, shelves.py,
histories.py); three formats write that down (karaoke.py, lastfm.py, anime.py). Each Spark task writes
the files of its block of users itself: Spark's own writer would name the files anew with every run, and
pass 17 million rows through the JVM only to put them down again. The folder must therefore be one that
every executor sees under the same path.

The same settings and seed give the same bytes, however many cores or partitions there are.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys_spark.errors import ConfigError
from recsys_spark.sample.blocks import FORMATS, folders, pieces, write_piece
from recsys_spark.sample.settings import SamplePlan, SampleSettings
from recsys_spark.sample.truth import finished_counts, summarise, write_truth

__all__ = ["generate"]


def generate(spark: SparkSession, settings: SampleSettings, seed: int, out_dir: str | Path) -> dict[str, int]:
    """Writes a sample into `out_dir`, a folder that does not exist yet or is empty.

    Returns counts: users, items, rows (clean), broken, duplicated and late rows. A folder that holds
    the same sample already is left as it is. Raises ConfigError for a folder with other content, a
    path that is no plain path, or one that cannot be written.
    """
    plan = settings.plan(seed)
    root = _local_path(out_dir)
    counts = finished_counts(root, plan)
    if counts is not None:
        return counts
    with _drafted(root, plan) as draft:
        tally = _write_pieces(spark, plan, draft)
        truth = summarise(plan, tally, FORMATS[plan.format].copies_count)
        write_truth(draft, truth)
    written: dict[str, int] = truth["counts"]
    return written


def _local_path(out_dir: str | Path) -> Path:
    text = str(out_dir).removeprefix("file://")
    if "://" in text:
        raise ConfigError(
            f"{out_dir} is not a plain path: choose a folder that all executors see as a file system"
        )
    return Path(text.removeprefix("file:")).absolute()


@contextmanager
def _drafted(root: Path, plan: SamplePlan) -> Iterator[Path]:
    """A folder beside `root` that takes its name when all has gone well.

    Its name is fixed, so the remains of a killed run are cleared by the next.
    """
    draft = root.with_name(f".{root.name}.unfinished")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        for folder in folders(plan):
            (draft / folder).mkdir(parents=True)
    except OSError as error:
        raise ConfigError(f"cannot write beside {root} ({error.strerror}): choose another folder") from error
    try:
        yield draft
        # Tasks that were killed while they wrote leave hidden drafts of files.
        for remains in draft.rglob(".*"):
            remains.unlink()
        draft.replace(root)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _write_pieces(spark: SparkSession, plan: SamplePlan, root: Path) -> Counter[str]:
    """Writes all pieces, one a task, and sums their counts."""
    number = pieces(plan)

    def write(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            for piece in batch["id"]:
                counts = write_piece(plan, int(piece), root)
                yield pd.DataFrame({"kind": list(counts), "count": list(counts.values())})

    counts = spark.range(0, number, 1, number).mapInPandas(write, "kind string, count long")
    # One row a kind of count: a dozen, whatever the size of the sample.
    sums = counts.groupBy("kind").agg(F.sum("count").alias("count")).collect()
    return Counter({row["kind"]: row["count"] for row in sums})
