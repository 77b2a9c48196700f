"""Whether the places that a run writes to can be written, asked before anything is computed, and told if they fail."""

import logging
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pyarrow as pa
from pyspark.sql import SparkSession

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import ConfigError, RecsysError
from recsys_spark.core.paths import local_path
from recsys_spark.runtime.session import parallelism, runs_here
from recsys_spark.storage.spark_errors import storage_failure

__all__ = ["check_writable", "check_shared_files", "hosts_without", "explain_disk_errors"]

log = logging.getLogger(__name__)


def check_writable(config: BaseConfig) -> None:
    """Writes and reads back a small file below tables.root and files.root, where these are local paths.

    Raises ConfigError listing every root that failed.
    """
    places = {"files.root": config.files_root}
    if config.tables.root is not None:
        places["tables.root"] = config.tables.root
    problems = [problem for key, uri in places.items() if (problem := _problem(key, uri))]
    if not problems and config.files.root is not None:
        problems += _other_owner(config.files.root, config.tables.root or config.tables.schema_name or "")
    if problems:
        raise ConfigError(*problems)


def check_shared_files(spark: SparkSession, config: BaseConfig) -> None:
    """Writes a small file below files.root and lets executors look for it, unless they are threads of this process.

    Raises ConfigError naming the machines that do not find it.
    """
    folder = local_path(config.files_root)
    if folder is None or runs_here(spark):
        return
    probe = _scratch(folder, "probe")
    probe.write_bytes(b"probe")
    try:
        hosts = hosts_without(spark, probe)
    finally:
        probe.unlink(missing_ok=True)
    if hosts:
        raise ConfigError(
            f"files.root: what is written to {folder} is not found on {', '.join(hosts)}: set it to a folder that the"
            " driver and every executor share"
        )


def hosts_without(spark: SparkSession, file: Path) -> list[str]:
    """The machines of executors, as far as a task for each core reaches them, where a file is not found."""
    tasks = parallelism(spark)
    found = spark.range(0, tasks, 1, tasks).mapInArrow(partial(_host_without, str(file)), "host STRING")
    return sorted(row["host"] for row in found.distinct().collect())


def _host_without(file: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for _ in batches:
        if not Path(file).exists():
            yield pa.RecordBatch.from_pydict({"host": [socket.gethostname()]})


@contextmanager
def explain_disk_errors(config: BaseConfig) -> Iterator[None]:
    """Turns what a full or read-only disk led to, wherever it struck, into a ConfigError that says what to do."""
    try:
        yield
    except Exception as error:
        words = None if isinstance(error, RecsysError) else storage_failure(error)
        if words is None:
            raise
        log.debug("what the disk led to", exc_info=error)
        tables = config.tables.root or config.tables.schema_name
        raise ConfigError(
            f"{words}: tables are at {tables}, files at {config.files_root}, and Spark spills below"
            " SPARK_LOCAL_DIRS or spark.local.dir (/tmp unless set)",
            "make room there, or make it writable, and run the same command again: it goes on from the last commit",
        ) from error


def _other_owner(files_root: str, tables: str) -> list[str]:
    """Files are named by model version, and versions are told apart within one set of tables only."""
    folder = local_path(files_root)
    if folder is None:
        return []
    local = local_path(tables)
    mark, owner = folder / "tables.txt", str(local) if local is not None and "/" in tables else tables
    if not mark.exists():
        # Linked when it is whole, so that of two first jobs one wins, and a killed one leaves no half of a name.
        draft = _scratch(folder, "tables")
        draft.write_text(owner)
        with suppress(FileExistsError):
            os.link(draft, mark)
        draft.unlink()
    found = mark.read_text()
    if found == owner:
        return []
    return [
        f"files.root: {files_root} belongs to the tables at {found}, not {owner}: choose another folder, or delete"
        f" {mark} if the tables were moved"
    ]


def _scratch(folder: Path, name: str) -> Path:
    """A file of this call alone."""
    return folder / f".{name}-{os.getpid()}-{uuid.uuid4().hex}"


def _problem(key: str, uri: str) -> str | None:
    path = local_path(uri)
    if path is None:
        # Delta reaches any storage; staged rows, matrices and weights are opened as files.
        remote = f"{key}: {uri} is not a path: set files.root to a folder that every machine mounts"
        return remote if key == "files.root" else None
    if key == "tables.root" and "`" in uri:
        return f"{key}: {uri} holds a backtick, with which Delta cannot create tables: choose another"
    probe = _scratch(path, "probe")
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"probe")
        readable = probe.read_bytes() == b"probe"
        probe.unlink()
    except OSError as error:
        return f"{key}: {uri} cannot be written: {error}"
    return None if readable else f"{key}: {uri} does not give back what is written to it"
