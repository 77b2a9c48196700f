"""Delta commits through Spark: history, user metadata, conflicts, and logs without a commit."""

import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark.sql import SparkSession

from recsys_spark.core.paths import local_path
from recsys_spark.storage.local_log import Commit, parsed_metadata

__all__ = [
    "METADATA_CONF",
    "catalog_folder",
    "history",
    "is_conflict",
    "remove_incomplete_log",
    "user_metadata",
]

METADATA_CONF = "spark.databricks.delta.commitInfo.userMetadata"
CONFLICT = re.compile(r"Concurrent\w*Exception|DELTA_CONCURRENT|ProtocolChanged|MetadataChanged")
_SESSION_SETTING = threading.RLock()


def history(spark: SparkSession, address: str, limit: int | None = None) -> list[Commit]:
    """Return the commits of a table at an address of SQL, newest first.

    The retention of the log and `limit` bound their number.
    """
    rows = spark.sql(f"DESCRIBE HISTORY {address}{'' if limit is None else f' LIMIT {limit:d}'}")
    return [
        Commit(int(row["version"]), row["operation"], parsed_metadata(row["userMetadata"]))
        for row in rows.select("version", "operation", "userMetadata").collect()
    ]


def remove_incomplete_log(table: Path | None, commits: int = 0) -> bool:
    """Remove the log of a table whose creation was interrupted; return True if there was one.

    Delta neither reads nor creates a table in such a folder. The log is removed if it has no commit, or at most
    `commits` of them and no data: a catalog registers a table after its first commit. The caller holds the lock of the
    table. Nothing is done if `table` is None.
    """
    log = table / "_delta_log" if table is not None else None
    if table is None or log is None or not log.is_dir():
        return False
    commit_files = [file for file in log.iterdir() if file.suffix in (".json", ".parquet")]
    has_data = any(log not in file.parents for file in table.rglob("*.parquet"))
    is_incomplete = not commit_files or (len(commit_files) <= commits and not has_data)
    if is_incomplete:
        shutil.rmtree(log)
    return is_incomplete


def catalog_folder(spark: SparkSession, schema: str, name: str) -> Path | None:
    """Return the local folder of a catalog table; None for other storage."""
    place = spark.catalog.getDatabase(schema).locationUri
    return local_path(f"{place}/{name}") if place else None


@contextmanager
def user_metadata(spark: SparkSession, record: str) -> Iterator[None]:
    """Write a record to the user metadata of the commits in the block.

    This is for operations without an option for it: merges, deletions and changes of a schema take it from the session.
    Threads that share a session take turns, so that none commits the record of another; writers have an option of their
    own, which takes precedence. The previous value is restored at the end. The caller holds the lock of the table, and
    takes no other in the block.
    """
    with _SESSION_SETTING:
        before = spark.conf.get(METADATA_CONF, None)
        spark.conf.set(METADATA_CONF, record)
        try:
            yield
        finally:
            if before is None:
                spark.conf.unset(METADATA_CONF)
            else:
                spark.conf.set(METADATA_CONF, before)


def is_conflict(error: BaseException) -> bool:
    """Return True if Delta rejected a commit because another writer was faster."""
    return CONFLICT.search(str(error)) is not None
