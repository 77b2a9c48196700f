"""Delta commits: what their user metadata says, what a writer's defeat looks like, what a log without any is."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from recsys_spark.core.paths import local_path

__all__ = [
    "METADATA_CONF",
    "Commit",
    "folder_of",
    "history",
    "is_conflict",
    "newest_version",
    "remove_incomplete_log",
    "user_metadata",
]

METADATA_CONF = "spark.databricks.delta.commitInfo.userMetadata"
HOUSEKEEPING = {
    "OPTIMIZE",
    "VACUUM START",
    "VACUUM END",
    "REORG",
    "SET TBLPROPERTIES",
    "UNSET TBLPROPERTIES",
    "ADD COLUMNS",
    "CHANGE COLUMN",
}
CONFLICT = re.compile(r"Concurrent\w*Exception|DELTA_CONCURRENT|ProtocolChanged|MetadataChanged")
COMMIT_FILE = re.compile(r"(\d{20})\.json")


class Commit(NamedTuple):
    """One version of a table."""

    version: int
    operation: str
    metadata: dict[str, Any]

    @property
    def changes_rows(self) -> bool:
        """Whether it is more than housekeeping; a table's data version steps over that."""
        return self.operation not in HOUSEKEEPING


def history(table: DeltaTable, limit: int | None = None) -> list[Commit]:
    """Commits, newest first; bounded by the log's retention and by `limit`."""
    rows = table.history(limit) if limit else table.history()
    return [
        Commit(int(row["version"]), row["operation"], _parsed(row["userMetadata"]))
        for row in rows.select("version", "operation", "userMetadata").collect()
    ]


def newest_version(folder: Path | None) -> int | None:
    """Of an existing table, by the names in its log, which Delta's protocol fixes: a listing, where asking for the
    history is a query of Spark's. None where no commit is left there, and for a folder that cannot be looked into.
    """
    log = [] if folder is None else os.listdir(folder / "_delta_log")
    return max((int(match[1]) for name in log if (match := COMMIT_FILE.fullmatch(name))), default=None)


def remove_incomplete_log(table: Path | None, commits: int = 0) -> None:
    """Removes the log of a table that was killed, or ran out of disk, while it was made: Delta takes the folder neither
    for a table nor for a place where it may make one.

    It has no commit yet, or at most so many and no data: a catalog hears of a table after its first one. Under the
    table's lock; None for a place that is not ours to look into.
    """
    log = table / "_delta_log" if table is not None else None
    if table is None or log is None or not log.is_dir():
        return
    written = [file for file in log.iterdir() if file.suffix in (".json", ".parquet")]
    has_data = any(log not in file.parents for file in table.rglob("*.parquet"))
    if not written or (len(written) <= commits and not has_data):
        shutil.rmtree(log)


def folder_of(spark: SparkSession, schema: str, name: str) -> Path | None:
    """Where a catalog would make a table of a schema; None if that is no folder that can be looked into."""
    place = spark.catalog.getDatabase(schema).locationUri
    return local_path(f"{place}/{name}") if place else None


@contextmanager
def user_metadata(spark: SparkSession, record: Mapping[str, Any]) -> Iterator[None]:
    """Every commit made inside carries the record; a value that the session's owner had set is put back."""
    before = spark.conf.get(METADATA_CONF, None)
    spark.conf.set(METADATA_CONF, json.dumps(record, sort_keys=True, default=str))
    try:
        yield
    finally:
        if before is None:
            spark.conf.unset(METADATA_CONF)
        else:
            spark.conf.set(METADATA_CONF, before)


def is_conflict(error: BaseException) -> bool:
    """Whether Delta refused a commit because another writer was faster."""
    return CONFLICT.search(str(error)) is not None


def _parsed(text: str | None) -> dict[str, Any]:
    """Our metadata, or nothing where somebody else wrote the commit."""
    try:
        parsed = json.loads(text or "{}")
    except json.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
