"""The only place that makes, adjusts or stops a Spark session, or touches its context.

A session that exists already (Databricks, a notebook, a test) is used as it is and never stopped.
Under spark-submit the submitted properties rule. Only a plain `python jobs/NAME.py` gets a session of
our making, with settings that suit one machine and Spark's own output kept in a log file.
"""

import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.resources import files
from pathlib import Path

from pyspark import SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from recsys_spark.config.model import BaseConfig, TrainingSettings
from recsys_spark.core.atomic_files import atomic_write
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.names import NETWORKS
from recsys_spark.core.paths import file_uri
from recsys_spark.storage.locks import Locks
from recsys_spark.storage.spark_errors import SPARK_ERRORS

__all__ = ["block_tasks", "checkpoint_dir", "job_settings", "parallelism", "runs_here", "spark_session"]

log = logging.getLogger(__name__)

DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
# Spark makes one Java method of many columns, and without this the JVM interprets those above 8,000 bytes forever.
COMPILE_ALL = "-XX:-DontCompileHugeMethods"
# Of Python workers, where nothing else is said.
WORKERS = {
    # Each Spark task is one thread of work; BLAS threads on top would only contend.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Blocks of scores are arrays of some megabytes, made and freed again and again. By default glibc gives them back to
    # the system each time, and taking up new pages costs a tenth of what is computed on them.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
}
# Set where the platform makes the session, with Delta built in.
PLATFORM = "DATABRICKS_RUNTIME_VERSION"
# What our jobs need of any session; put back afterwards in a session that is not ours.
JOB_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Snapshots of small tables otherwise take 50 tasks each.
    "spark.databricks.delta.snapshotPartitions": "2",
}


@contextmanager
def spark_session(config: BaseConfig) -> Iterator[SparkSession]:
    """The session to work in; stopped at the end only if it was made here.

    Raises LostToWriterError when another process keeps the local catalog longer than the lock's timeout.
    """
    existing = _existing_session()
    if existing is not None or PLATFORM in os.environ:
        # A platform's session is shared: stopping it would take the cluster from others.
        yield existing or SparkSession.builder.getOrCreate()
        return
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    with nullcontext() if submitted else _local_catalog(config):
        spark = _submitted_session() if submitted else _local_session(config)
        try:
            yield spark
        finally:
            spark.stop()


@contextmanager
def job_settings(spark: SparkSession) -> Iterator[None]:
    """Runtime settings that our jobs rely on, put back afterwards: the session may be somebody's notebook.

    Raises ConfigError when the session cannot read Delta tables.
    """
    lacking = [f"--conf {key}={value}" for key, value in DELTA.items() if value not in (spark.conf.get(key, "") or "")]
    if lacking and PLATFORM not in os.environ:
        raise ConfigError(f"this Spark session has no Delta support: start it with {' '.join(lacking)}")
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
    """Tasks that the cluster runs at once, as far as the session knows."""
    return spark.sparkContext.defaultParallelism


def runs_here(spark: SparkSession) -> bool:
    """Whether tasks are threads and processes of this machine alone."""
    return str(spark.conf.get("spark.master", "")).startswith("local")


def block_tasks(spark: SparkSession) -> int:
    """Tasks for work in blocks of users or items: four a core, so that a slow one does not hold up the rest."""
    return 4 * parallelism(spark)


@contextmanager
def checkpoint_dir(spark: SparkSession, folder: Path) -> Iterator[None]:
    """Gives long lineages a place to be cut, and removes what they wrote.

    ALS ignores its checkpoint interval silently without one. One set already is left alone.
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
        # A session cannot forget the folder: the next training finds it to be one of ours.
        if written is not None and folder.absolute() in written.parents:
            shutil.rmtree(written, ignore_errors=True)


def _checkpoints(context: SparkContext) -> Path | None:
    uri = context.getCheckpointDir()
    return None if uri is None else Path(uri.removeprefix("file:"))


def _existing_session() -> SparkSession | None:
    """Also one that another thread made: the builder would hand it out, and we would stop it."""
    try:
        return SparkSession.active()
    except PySparkRuntimeError:
        return None


def _local_catalog(config: BaseConfig) -> AbstractContextManager[None]:
    """Held for as long as the session: the embedded database of the local Hive catalog admits one process."""
    folder = Path(config.spark.warehouse).absolute() if config.tables.schema_name is not None else None
    return Locks(folder, config.tables.lock_timeout_seconds).hold("the_local_catalog")


def _submitted_session() -> SparkSession:
    return SparkSession.builder.getOrCreate()


def _local_session(config: BaseConfig) -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    for variable, value in WORKERS.items():
        os.environ.setdefault(variable, value)
    builder = SparkSession.builder.appName("recsys_spark").master(config.spark.master)
    for key, value in _local_settings(config).items():
        builder = builder.config(key, value)
    if config.tables.schema_name is not None:
        builder = builder.enableHiveSupport()
    log_file = _scratch() / f"spark-{os.getpid()}.log"
    log.info("Spark %s starts; its own log is %s", config.spark.master, log_file)
    try:
        with _stderr_to(log_file):
            return builder.getOrCreate()
    except (*SPARK_ERRORS, RuntimeError) as error:
        raise ConfigError(f"Spark did not start: {error}. Is a JDK 17 or 21 installed? Its log: {log_file}") from error


def _local_settings(config: BaseConfig) -> dict[str, str]:
    warehouse = Path(config.spark.warehouse).absolute()
    partitions = config.spark.shuffle_partitions or 2 * (os.cpu_count() or 2)
    # As a URI, since a blank in a path would end the option.
    log4j = Path(str(files("recsys_spark") / "resources" / "log4j2.properties")).absolute().as_uri()
    java = f"{COMPILE_ALL} -Dlog4j2.configurationFile={log4j} -Dderby.stream.error.file={os.devnull}"
    return {
        **DELTA,
        **JOB_SETTINGS,
        "spark.driver.memory": config.spark.driver_memory,
        "spark.driver.extraJavaOptions": java,
        "spark.sql.shuffle.partitions": str(partitions),
        "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
        "spark.sql.warehouse.dir": str(warehouse),
        "spark.hadoop.javax.jdo.option.ConnectionURL": (
            f"jdbc:derby:;databaseName={warehouse / '_metastore'};create=true"
        ),
        "spark.python.daemon.module": _worker_daemon(config),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.parquet.compression.codec": "zstd",
        # A walk through the stack for every column that is named: a sixth of the planning of small jobs.
        "spark.sql.dataFrameQueryContext.enabled": "false",
        **_gpu_settings(config.training),
    }


def _gpu_settings(training: TrainingSettings) -> dict[str, str]:
    """What lets TorchDistributor share out this machine's GPUs: it takes those alone that Spark's driver owns."""
    if not (training.use_gpu and training.local and training.processes > 1):
        return {}
    script = _scratch() / f"gpus-{training.processes}.sh"
    addresses = json.dumps([str(gpu) for gpu in range(training.processes)])
    script.parent.mkdir(parents=True, exist_ok=True)
    # Another job may be starting its session from it.
    with atomic_write(script) as draft:
        draft.write_text(f'#!/bin/sh\necho \'{{"name": "gpu", "addresses": {addresses}}}\'\n')
        draft.chmod(0o700)
    owned = "spark.driver.resource.gpu"
    return {f"{owned}.amount": str(training.processes), f"{owned}.discoveryScript": str(script)}


def _scratch() -> Path:
    return Path(tempfile.gettempdir()) / f"recsys_spark-{os.getuid()}"


def _worker_daemon(config: BaseConfig) -> str:
    kinds = {config.model.kind, *config.pipeline.kinds}
    return f"recsys_spark.{'runtime' if kinds.isdisjoint(NETWORKS) else 'inference'}.worker_daemon"


@contextmanager
def _stderr_to(file: Path) -> Iterator[None]:
    """Sends file descriptor 2 to a file, so that a JVM started meanwhile keeps its noise there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    kept = os.dup(2)
    target = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.dup2(target, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(target)
