"""Preflight checks of the roots that a run writes to, and explanation of disk errors."""

import logging
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import pyarrow as pa
from pyspark.sql import SparkSession

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.atomic_files import supports_links, write_once
from recsys_spark.core.errors import ConfigError, MissingInputError, RecsysError
from recsys_spark.core.paths import local_path
from recsys_spark.runtime.spark_context import is_local, parallelism
from recsys_spark.storage.locks import supports_locks
from recsys_spark.storage.spark_errors import storage_failure

__all__ = [
    "check_shared_files",
    "check_tables_exist",
    "check_writable",
    "explain_disk_errors",
    "hosts_without",
    "log_file_systems",
]

log = logging.getLogger(__name__)


def check_tables_exist(config: BaseConfig) -> None:
    """Raise MissingInputError where a local tables.root has no table; nothing is created there.

    A root that no job can use, such as one below a regular file, is left to check_writable.
    """
    root = local_path(config.tables.root) if config.tables.root is not None else None
    if root is None or "`" in str(root) or any(folder.is_file() for folder in (root, *root.parents)):
        return
    if not any(root.glob("*/_delta_log")):
        raise MissingInputError(
            f"there are no tables at {root}: correct tables.root if they are elsewhere, or run ingest_plays first"
        )


def check_writable(config: BaseConfig) -> None:
    """Check that local tables.root and files.root are writable.

    A small file is written and read back. Raises ConfigError with every root that failed.
    """
    places = {"files.root": config.files_root}
    if config.tables.root is not None:
        places["tables.root"] = config.tables.root
    problems = [problem for key, uri in places.items() if (problem := _problem(key, uri))]
    if not problems and config.files.root is not None:
        problems += _other_owner(config.files.root, config.tables.root or config.tables.schema_name or "")
    if problems:
        raise ConfigError(*problems)


def log_file_systems(config: BaseConfig) -> None:
    """Log the replacements of hard links and file locks, where local roots lack them."""
    for folder in {local_path(root) for root in (config.files_root, config.tables.root) if root is not None}:
        if folder is not None:
            _log_file_system(folder)


@cache
def _log_file_system(folder: Path) -> None:
    # Once a process: each job of a pipeline asks.
    if not supports_links(folder):
        log.warning("%s has no hard links: complete files are renamed instead", folder)
    if not supports_locks(folder):
        log.warning(
            "%s has no file locks: the commit of Delta alone decides between two jobs; run one job at a time where"
            " tables.root is on such a file system",
            folder,
        )


def check_shared_files(spark: SparkSession, config: BaseConfig) -> None:
    """Check that executors see the files that the driver writes below files.root.

    Local sessions are not checked. Raises ConfigError with the machines that do not find a new file.
    """
    folder = local_path(config.files_root)
    if folder is None or is_local(spark):
        return
    probe = _unique_file(folder, "probe")
    probe.write_bytes(b"probe")
    try:
        hosts = hosts_without(spark, probe)
    finally:
        probe.unlink(missing_ok=True)
    if hosts:
        raise ConfigError(
            f"files.root: files written to {folder} are not found on {', '.join(hosts)}: set it to a folder that the"
            " driver and every executor share"
        )


def hosts_without(spark: SparkSession, file: Path) -> list[str]:
    """Return the machines of executors that do not find a file.

    One task per core is run, which need not reach every machine.
    """
    tasks = parallelism(spark)
    found = spark.range(0, tasks, 1, tasks).mapInArrow(partial(_host_without, str(file)), "host STRING")
    return sorted(row["host"] for row in found.distinct().collect())


def _host_without(file: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for _ in batches:
        if not Path(file).exists():
            yield pa.RecordBatch.from_pydict({"host": [socket.gethostname()]})


@contextmanager
def explain_disk_errors(config: BaseConfig) -> Iterator[None]:
    """Convert disk-full and read-only errors of any machine to ConfigError with a remedy."""
    try:
        yield
    except Exception as error:
        failure = None if isinstance(error, RecsysError) else storage_failure(error)
        if failure is None:
            raise
        log.debug("error caused by a disk", exc_info=error)
        tables = config.tables.root or config.tables.schema_name
        raise ConfigError(
            f"{failure}: tables are at {tables}, files at {config.files_root}, and Spark spills below"
            " SPARK_LOCAL_DIRS or spark.local.dir (/tmp unless set)",
            "make room there, or make it writable, and run the same command again: it continues after the last commit",
        ) from error


def _other_owner(files_root: str, tables: str) -> list[str]:
    """Return a problem if files.root belongs to other tables.

    Files are named by model version, and versions are unique only within one set of tables.
    """
    folder = local_path(files_root)
    if folder is None:
        return []
    local = local_path(tables)
    owner_file, owner = folder / "tables.txt", str(local) if local is not None and "/" in tables else tables
    found = write_once(owner_file, owner)
    if found == owner:
        return []
    return [
        f"files.root: {files_root} belongs to the tables at {found}, not {owner}: choose another folder, or delete"
        f" {owner_file} if the tables were moved"
    ]


def _unique_file(folder: Path, name: str) -> Path:
    """Return the path of a file that no other call uses."""
    return folder / f".{name}-{os.getpid()}-{uuid.uuid4().hex}"


def _problem(key: str, uri: str) -> str | None:
    """Return the reason why a root cannot be used, or None."""
    path = local_path(uri)
    if path is None:
        # Delta reads any storage; staged rows, matrices and weights are opened as local files.
        remote = f"{key}: {uri} is not a path: set files.root to a folder that every machine mounts"
        return remote if key == "files.root" else None
    if key == "tables.root" and "`" in uri:
        return f"{key}: {uri} contains a backtick, and Delta cannot create tables there: choose another folder"
    probe = _unique_file(path, "probe")
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"probe")
        readable = probe.read_bytes() == b"probe"
        probe.unlink()
    except OSError as error:
        return f"{key}: {uri} cannot be written: {error}"
    return None if readable else f"{key}: {uri} does not return the bytes written to it: choose another folder"
