"""Generation of play logs on Spark, up to the size of public data sets.

Users mix taste groups, groups lean to a gender, items have a long tail (tastes.py, catalogue.py, histories.py). There
are three formats (karaoke.py, lastfm.py, anime_ratings.py). Each Spark task writes the files of its block of users
itself: Spark's own writer would give the files new names in every run, and would pass 17 million rows through the JVM.
The folder must therefore be visible to every executor under the same path.

The same settings and seed give the same bytes, however many cores or partitions there are.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.sample import SamplePlan, SampleSettings
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.paths import local_path
from recsys_spark.sample.blocks import FORMATS, folders, pieces, write_piece
from recsys_spark.sample.truth import build_truth, finished_counts, write_truth
from recsys_spark.storage.locks import Locks

__all__ = ["generate"]


LOCK_SECONDS = 60.0
UNSEEN_FOLDER = "unseen"


def generate(spark: SparkSession, settings: SampleSettings, seed: int, out_dir: str | Path) -> dict[str, int]:
    """Write a sample into a new or empty folder and return its counts.

    Counts: users, items, rows (clean), broken, duplicated and late rows. A folder that already holds the same sample
    is left as it is. Raises ConfigError for a folder with other content, one that cannot be written or that executors
    do not see, or a URI; WriteConflictError while another process writes the same folder.
    """
    plan = settings.plan(seed)
    root = local_path(str(out_dir))
    if root is None:
        raise ConfigError(f"{out_dir} is a URI: choose a folder that all executors see under one plain path")
    counts = finished_counts(root, plan)
    if counts is None:
        with _only_writer(root):
            counts = finished_counts(root, plan) or _write_sample(spark, plan, root)
    return counts


@contextmanager
def _only_writer(root: Path) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(Locks(root.parent, LOCK_SECONDS).hold(f".{root.name}"))
        except OSError as error:
            raise ConfigError(f"cannot write beside {root} ({error.strerror}): choose another folder") from error
        yield


def _write_sample(spark: SparkSession, plan: SamplePlan, root: Path) -> dict[str, int]:
    """Write the sample beside `root` and rename it at the end.

    The remains of a killed run are deleted first.
    """
    draft = root.with_name(f".{root.name}.unfinished")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        for folder in folders(plan):
            (draft / folder).mkdir(parents=True)
        truth = build_truth(plan, _write_pieces(spark, plan, draft), FORMATS[plan.format].copies_are_valid)
        write_truth(draft, truth)
        # Tasks that were killed while writing leave hidden drafts of files.
        for remains in draft.rglob(".*"):
            remains.unlink()
        draft.replace(root)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    counts: dict[str, int] = truth["counts"]
    return counts


def _write_pieces(spark: SparkSession, plan: SamplePlan, root: Path) -> Counter[str]:
    """Write all pieces, one a task, and sum their counts."""
    number = pieces(plan)

    def write(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            for piece in batch["id"]:
                counts = write_piece(plan, int(piece), root) if root.is_dir() else {UNSEEN_FOLDER: 1}
                if counts:
                    # An empty list would be a column of floats, which pyarrow 15 and later cast to no plain array.
                    yield pd.DataFrame({"kind": list(counts), "count": list(counts.values())})

    counts = spark.range(0, number, 1, number).mapInPandas(write, "kind string, count long")
    # One row a kind of count: about a dozen, independent of the size of the sample.
    sums = counts.groupBy("kind").agg(F.sum("count").alias("count")).collect()
    tally = Counter({row["kind"]: row["count"] for row in sums})
    if tally[UNSEEN_FOLDER]:
        raise ConfigError(f"executors do not see {root.parent}: choose a folder that all machines share")
    return tally
