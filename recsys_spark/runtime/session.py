"""Creation and settings of Spark sessions.

An existing session (Databricks, a notebook, a test) is used and never stopped. Under spark-submit the submitted
properties apply, and with SPARK_REMOTE the session is one of that Spark Connect server. Otherwise `python jobs/NAME.py`
creates a session with settings for one machine, and writes the output of Spark to a log file.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.libraries import install_command
from recsys_spark.core.logs import step
from recsys_spark.runtime.connect_server import check_server
from recsys_spark.runtime.spark_context import has_delta_classes, state_cores
from recsys_spark.runtime.spark_settings import DELTA, JOB_SETTINGS, WORKER_ENVIRONMENT, local_settings, user_folder
from recsys_spark.storage.locks import Locks
from recsys_spark.storage.spark_errors import SPARK_ERRORS

__all__ = ["job_settings", "spark_session"]

log = logging.getLogger(__name__)

# Environment variable of Databricks, whose sessions have Delta built in.
PLATFORM = "DATABRICKS_RUNTIME_VERSION"
# Environment variables of sessions whose settings are made elsewhere: by spark-submit, and by a Spark Connect server.
SUBMITTED, REMOTE = "PYSPARK_GATEWAY_PORT", "SPARK_REMOTE"


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
    submitted = not {SUBMITTED, REMOTE}.isdisjoint(os.environ)
    with nullcontext() if submitted else _local_catalog(config):
        spark = _submitted_session() if submitted else _local_session(config)
        try:
            if not has_delta_classes(spark):
                raise ConfigError(
                    "Spark has no Delta jars: run python -m recsys_spark.runtime.delta_jars once in this environment"
                )
            yield spark
        finally:
            spark.stop()


@contextmanager
def job_settings(spark: SparkSession, cores: int | None = None) -> Iterator[None]:
    """Set JOB_SETTINGS in the session and restore the previous values at the end.

    `cores` is the number of cores of a Spark Connect session, where the configuration states it.

    Raises ConfigError when the session cannot read Delta tables.
    """
    state_cores(spark, cores)
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
    """Return the session of spark-submit, or of the server in SPARK_REMOTE.

    Raises ConfigError for a server that does not answer, or a missing client.
    """
    if REMOTE not in os.environ:
        return SparkSession.builder.getOrCreate()
    check_server(os.environ[REMOTE])
    try:
        return SparkSession.builder.getOrCreate()
    except ImportError as error:
        raise ConfigError(f"Spark Connect needs more libraries ({error}): run {install_command('connect')}") from error


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
