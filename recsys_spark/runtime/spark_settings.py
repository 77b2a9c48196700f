"""Spark settings of local sessions and of all jobs.

The conf/spark-*.conf files repeat some of them for spark-submit; tests/runtime/test_spark_settings.py compares both.
"""

import json
import os
import stat
import tempfile
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path

from recsys_spark.config.model import BaseConfig
from recsys_spark.config.training import TrainingSettings
from recsys_spark.core.atomic_files import atomic_write
from recsys_spark.core.names import NETWORKS
from recsys_spark.runtime.class_archive import archive_option

__all__ = [
    "COMPILE_LARGE_METHODS",
    "DELTA",
    "FIRST_COMPILER",
    "JOB_SETTINGS",
    "SMALL_DATA",
    "WORKER_ENVIRONMENT",
    "local_settings",
    "user_folder",
    "worker_daemon",
]

DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
# Settings of every session during a job; a session that existed before gets its own values back.
JOB_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # The snapshot of a table takes 50 tasks by default, which is slow for small tables.
    "spark.databricks.delta.snapshotPartitions": "2",
}
# Spark generates one Java method for many columns. By default the JVM never compiles methods above 8,000 bytes, and
# ingestion takes twice as long.
COMPILE_LARGE_METHODS = "-XX:-DontCompileHugeMethods"
# Only the first compiler of the JVM, whose code cache is too small without the second one.
FIRST_COMPILER = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -XX:+UseSerialGC"
SMALL_DATA = {
    # Generated code is compiled again for every plan, which takes longer than to interpret a few rows.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    # Each scan starts a job of its own to skip files; small tables have a few files.
    "spark.databricks.delta.stats.skipping": "false",
    "spark.sql.adaptive.enabled": "false",
}
# Environment variables of Python workers; values of the user take precedence.
WORKER_ENVIRONMENT = {
    # Each Spark task computes in one thread; more BLAS threads would compete for the same cores.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Blocks of scores are arrays of some megabytes that are allocated again and again. By default glibc returns them to
    # the system each time, and mapping new pages takes a tenth of the time of the computation. Bytes: 32 and 128 MiB.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
}


def local_settings(config: BaseConfig) -> dict[str, str]:
    """Return the settings of a session that a job creates on this machine."""
    warehouse = Path(config.spark.warehouse).absolute()
    small = config.spark.small_data
    partitions = config.spark.shuffle_partitions or (1 if small else 2) * (os.cpu_count() or 2)
    # As a URI, because a blank in a path would end the option.
    log4j = Path(str(files("recsys_spark") / "resources" / "log4j2.properties")).absolute().as_uri()
    compiler = FIRST_COMPILER if small else COMPILE_LARGE_METHODS
    java = f"{archive_option()}{compiler} -Dlog4j2.configurationFile={log4j} -Dderby.stream.error.file={os.devnull}"
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
        "spark.python.daemon.module": worker_daemon(config),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.parquet.compression.codec": "zstd",
        # The context inspects the call stack for every column, which is a sixth of the planning time of small jobs.
        "spark.sql.dataFrameQueryContext.enabled": "false",
        **(SMALL_DATA if small else {}),
        **_gpu_settings(config.training),
    }


def worker_daemon(config: BaseConfig) -> str:
    """Return the module of the worker daemon; the one of networks preloads torch."""
    kinds = {config.model.kind, *config.pipeline.kinds}
    return f"recsys_spark.{'runtime' if kinds.isdisjoint(NETWORKS) else 'inference'}.worker_daemon"


@cache
def user_folder() -> Path:
    """Return the private folder of temporary files and logs of this user.

    Its name is predictable, and other users may create it first. Then this process gets a folder with another name.
    """
    folder = Path(tempfile.gettempdir()) / f"recsys_spark-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
        # Earlier releases made it readable for others.
        folder.chmod(0o700)
        return folder
    return Path(tempfile.mkdtemp(prefix="recsys_spark-"))


def _gpu_settings(training: TrainingSettings) -> dict[str, str]:
    """Return the settings that assign the GPUs of this machine to the driver.

    TorchDistributor distributes only the GPUs that the driver owns.
    """
    if not (training.use_gpu and training.local and training.processes > 1):
        return {}
    script = user_folder() / f"gpus-{training.processes}.sh"
    addresses = json.dumps([str(gpu) for gpu in range(training.processes)])
    # Another job may start a session with the same script.
    with atomic_write(script) as draft:
        draft.write_text(f'#!/bin/sh\necho \'{{"name": "gpu", "addresses": {addresses}}}\'\n')
        draft.chmod(0o700)
    resource = "spark.driver.resource.gpu"
    return {f"{resource}.amount": str(training.processes), f"{resource}.discoveryScript": str(script)}
