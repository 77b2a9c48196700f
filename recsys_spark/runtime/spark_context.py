"""Uses of the Spark context, and their replacements for sessions of Spark Connect."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

from pyspark import SparkContext
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys_spark.core.paths import file_uri, local_path
from recsys_spark.storage.spark_errors import SPARK_ERRORS

__all__ = [
    "ActiveTasks",
    "active_tasks",
    "block_tasks",
    "checkpoint_dir",
    "end_interrupted_call",
    "has_delta_classes",
    "is_local",
    "is_remote",
    "parallelism",
    "started_jobs",
    "state_cores",
]

# Rows of a range that has a part for each core.
COUNTED_ROWS = 1 << 16
# Cores of sessions without a Spark context.
_CORES: WeakKeyDictionary[SparkSession, int] = WeakKeyDictionary()


class ActiveTasks(NamedTuple):
    """Finished and all tasks of the stages at work, with the ids of these stages."""

    stages: frozenset[int]
    done: int
    total: int


def is_remote(spark: SparkSession) -> bool:
    """Return True for a session of Spark Connect, which has no Spark context."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def state_cores(spark: SparkSession, cores: int | None) -> None:
    """Set the cores of a Spark Connect session, if the configuration states them."""
    if cores is not None and is_remote(spark):
        _CORES[spark] = cores


def parallelism(spark: SparkSession) -> int:
    """Return the default parallelism of the session, which is the number of its cores.

    With Spark Connect it is the stated number, else the number of parts that the server makes of a range.
    """
    if not is_remote(spark):
        return spark.sparkContext.defaultParallelism
    if spark not in _CORES:
        _CORES[spark] = max(1, spark.range(COUNTED_ROWS).select(F.spark_partition_id()).distinct().count())
    return _CORES[spark]


def started_jobs(spark: SparkSession) -> int:
    """Return the number of Spark jobs since the start of the application; the count starts one itself."""
    spark.range(1).collect()
    return 1 + max(spark.sparkContext.statusTracker().getJobIdsForGroup())


def is_local(spark: SparkSession) -> bool:
    """Return True if all tasks run on this machine; a Spark Connect server may be another one."""
    return not is_remote(spark) and str(spark.conf.get("spark.master", "")).startswith("local")


def block_tasks(spark: SparkSession) -> int:
    """Return the number of tasks for blocks of users or items.

    Four per core, so that a slow task delays the others little.
    """
    return 4 * parallelism(spark)


def active_tasks(spark: SparkSession) -> ActiveTasks:
    """Return the tasks of the stages at work; Spark Connect has no such numbers, so no stages."""
    with suppress(AttributeError, OSError, *SPARK_ERRORS):
        tracker = spark.sparkContext.statusTracker()
        found = {stage: info for stage in tracker.getActiveStageIds() if (info := tracker.getStageInfo(stage))}
        done, total = (
            sum(getattr(info, name) for info in found.values()) for name in ("numCompletedTasks", "numTasks")
        )
        return ActiveTasks(frozenset(found), done, total)
    return ActiveTasks(frozenset(), 0, 0)


def end_interrupted_call(spark: SparkSession) -> None:
    """Cancel the work of an interrupted call, and renew the connection to the JVM.

    A signal can interrupt a call before its answer is read. The next call would take that answer for its own.
    """
    with suppress(AttributeError, *SPARK_ERRORS):
        # Spark Connect has no such connection.
        gateway = spark.sparkContext._gateway
        connection = None if gateway is None else gateway._gateway_client.get_thread_connection()
        if connection is not None:
            connection.close()
    with suppress(*SPARK_ERRORS):
        spark.interruptAll()


@contextmanager
def checkpoint_dir(spark: SparkSession, folder: Path) -> Iterator[None]:
    """Set the checkpoint folder of the session and remove the checkpoints at the end.

    Without a folder ALS ignores its checkpoint interval. A folder of the session that is already set is kept. With
    Spark Connect the server has the folder (spark.checkpoint.dir).
    """
    if is_remote(spark):
        yield
        return
    context = spark.sparkContext
    before = _checkpoints(context)
    if before is not None and folder.absolute() not in before.parents:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    context.setCheckpointDir(file_uri(folder))
    written = _checkpoints(context)
    try:
        yield
    finally:
        # Spark cannot unset the folder; the next training recognises it by its parent.
        if written is not None and folder.absolute() in written.parents:
            shutil.rmtree(written, ignore_errors=True)


def _checkpoints(context: SparkContext) -> Path | None:
    uri = context.getCheckpointDir()
    return None if uri is None else local_path(uri)


def has_delta_classes(spark: SparkSession) -> bool:
    """Return False where the JVM of a session has no Delta classes; a Spark Connect session does not tell."""
    java = None if is_remote(spark) else spark._jvm
    return java is None or type(java.io.delta.tables.DeltaTable).__name__ != "JavaPackage"
