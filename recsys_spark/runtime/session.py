"""Creation and settings of Spark sessions, and access to the Spark context.

An existing session (Databricks, a notebook, a test) is used and never stopped. Under spark-submit the submitted
properties apply. `python jobs/NAME.py` without spark-submit creates a session with settings for one machine, and writes
the output of Spark to a log file. No other module uses the context of a session.
"""

import logging
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

from pyspark import SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.logs import step
from recsys_spark.core.paths import file_uri, local_path
from recsys_spark.runtime.spark_settings import DELTA, JOB_SETTINGS, WORKER_ENVIRONMENT, local_settings, user_folder
from recsys_spark.storage.locks import Locks
from recsys_spark.storage.spark_errors import SPARK_ERRORS

__all__ = [
    "ActiveTasks",
    "active_tasks",
    "block_tasks",
    "checkpoint_dir",
    "end_interrupted_call",
    "is_local",
    "job_settings",
    "parallelism",
    "spark_session",
    "started_jobs",
]

log = logging.getLogger(__name__)

# Environment variable of Databricks, whose sessions have Delta built in.
PLATFORM = "DATABRICKS_RUNTIME_VERSION"


class ActiveTasks(NamedTuple):
    """Finished and all tasks of the stages at work, with the ids of these stages."""

    stages: frozenset[int]
    done: int
    total: int


@contextmanager
def spark_session(config: BaseConfig) -> Iterator[SparkSession]:
    """Yield the session of a job; only a session created here is stopped at the end.

    Raises WriteConflictError when another process holds the local catalog longer than the timeout of the lock.
    """
    existing = _existing_session()
    if existing is not None or PLATFORM in os.environ:
        # The session of the platform is shared: other users need it after the job.
        yield existing or SparkSession.builder.getOrCreate()
        return
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    with nullcontext() if submitted else _local_catalog(config):
        spark = _submitted_session() if submitted else _local_session(config)
        try:
            _check_delta_classes(spark)
            yield spark
        finally:
            spark.stop()


@contextmanager
def job_settings(spark: SparkSession) -> Iterator[None]:
    """Set JOB_SETTINGS in the session and restore the previous values at the end.

    Raises ConfigError when the session cannot read Delta tables.
    """
    missing = [f"--conf {key}={value}" for key, value in DELTA.items() if value not in (spark.conf.get(key, "") or "")]
    if missing and PLATFORM not in os.environ:
        raise ConfigError(f"this Spark session has no Delta support: start it with {' '.join(missing)}")
    before = {key: spark.conf.get(key, None) for key in JOB_SETTINGS}
    for key, value in JOB_SETTINGS.items():
        spark.conf.set(key, value)
    try:
        yield
    finally:
        for key, old in before.items():
            if old is None:
                spark.conf.unset(key)
            else:
                spark.conf.set(key, old)


def parallelism(spark: SparkSession) -> int:
    """Return the default parallelism of the session, which is the number of its cores."""
    return spark.sparkContext.defaultParallelism


def started_jobs(spark: SparkSession) -> int:
    """Return the number of Spark jobs since the start of the application; the count starts one itself."""
    spark.range(1).collect()
    return 1 + max(spark.sparkContext.statusTracker().getJobIdsForGroup())


def is_local(spark: SparkSession) -> bool:
    """Return True if all tasks run on this machine."""
    return str(spark.conf.get("spark.master", "")).startswith("local")


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

    Without a folder ALS ignores its checkpoint interval. A folder of the session that is already set is kept.
    """
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


def _existing_session() -> SparkSession | None:
    """Return the active session of any thread, or None.

    The builder would return such a session, and the job would stop it.
    """
    try:
        return SparkSession.active()
    except PySparkRuntimeError:
        return None


def _local_catalog(config: BaseConfig) -> AbstractContextManager[None]:
    """Hold the lock of the local Hive catalog, whose database admits one process."""
    folder = Path(config.spark.warehouse).absolute() if config.tables.schema_name is not None else None
    return Locks(folder, config.tables.lock_timeout_seconds).hold("the_local_catalog")


def _submitted_session() -> SparkSession:
    return SparkSession.builder.getOrCreate()


def _local_session(config: BaseConfig) -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    for variable, value in WORKER_ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    builder = SparkSession.builder.appName("recsys_spark").master(config.spark.master)
    for key, value in local_settings(config).items():
        builder = builder.config(key, value)
    if config.tables.schema_name is not None:
        builder = builder.enableHiveSupport()
    log_file = user_folder() / f"spark-{os.getpid()}.log"
    try:
        with step(f"starting Spark {config.spark.master}; its log is {log_file}"), _stderr_to(log_file):
            return builder.getOrCreate()
    except (*SPARK_ERRORS, RuntimeError) as error:
        raise ConfigError(
            f"Spark did not start: {error}; install JDK 17 or 21 if none is found; the log is {log_file}"
        ) from error


def _check_delta_classes(spark: SparkSession) -> None:
    """Raise ConfigError where the JVM of a session has no Delta classes."""
    java = spark._jvm
    if java is not None and type(java.io.delta.tables.DeltaTable).__name__ == "JavaPackage":
        raise ConfigError(
            "Spark has no Delta jars: run python -m recsys_spark.runtime.delta_jars once in this environment"
        )


@contextmanager
def _stderr_to(file: Path) -> Iterator[None]:
    """Redirect file descriptor 2, which a new JVM inherits, to a file."""
    sys.stderr.flush()
    stderr = os.dup(2)
    target = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.dup2(target, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(target)
