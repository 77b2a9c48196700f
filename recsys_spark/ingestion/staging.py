"""Staged copy of a batch: its parsed rows as Parquet, kept until the batch is complete.

Counting, refusing, deduplicating and appending all need the rows. Reading raw text again for each would cost
more than this copy, and the raw files may change meanwhile. A copy with its marker is complete. It is intact as long
as the files that the marker lists have their sizes: a machine that loses power can lose files that were just written.
"""

import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.source import SourceSettings
from recsys_spark.core.atomic_files import write_json
from recsys_spark.core.paths import file_uri, literal_path
from recsys_spark.ingestion.batches import FileBatch
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.events import with_key
from recsys_spark.ingestion.parsing import parse_items, parse_plays, parse_users
from recsys_spark.ingestion.reader import Reader, Role
from recsys_spark.storage.spark_errors import SPARK_ERRORS

__all__ = ["ROLES", "Staging", "staged_batches", "unreadable_files"]

log = logging.getLogger(__name__)

# The copy is read a few times and deleted soon: dictionaries cost more than the bytes that they save.
COPY_OPTIONS = {"compression": "lz4", "parquet.enable.dictionary": "false"}

ROLES: tuple[Role, ...] = ("plays", "users", "items")


class Staging:
    """Parsed rows of one batch below files.root."""

    def __init__(self, spark: SparkSession, files_root: str | Path, batch_id: int) -> None:
        self._spark = spark
        self._folder = Path(files_root) / "staging" / f"ingest-{batch_id:08d}"
        self._marker = self._folder / "complete"

    @property
    def is_complete(self) -> bool:
        """Return True if the whole batch was parsed, by this run or an earlier one."""
        return self._marker.exists()

    @property
    def kind(self) -> str:
        """Return the kind of the staged plays: events, totals or ratings.

        It is that of the settings that the batch was parsed with.
        """
        return str(self._read_marker()["kind"])

    @property
    def max_quarantine_share(self) -> float | None:
        """Return the limit of the settings that the batch was parsed with; None in a copy of an earlier release."""
        share: float | None = self._read_marker().get("max_quarantine_share")
        return share

    def write(self, reader: Reader, batch: FileBatch, settings: SourceSettings) -> None:
        """Parse the files of the batch into Parquet; rows keep the name and time of their file.

        The copy is complete only after `finish`.
        """
        self.remove()
        for role in ROLES:
            files = [file for file in batch.files if reader.role(file) == role]
            if files:
                rows = _parse(self._spark, reader, role, files, settings)
                rows = _with_file_time(self._spark, rows, files)
                if role == "plays":
                    rows = with_key(rows, batch.source, reader.kind)
                rows.write.mode("overwrite").options(**COPY_OPTIONS).parquet(self._uri(role))

    def finish(self, reader: Reader, settings: SourceSettings) -> None:
        """Write the marker that declares the copy complete.

        It holds the settings that decide about the batch, for a later run that completes it under other settings.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        decisive = {"kind": reader.kind, "max_quarantine_share": settings.max_quarantine_share}
        write_json(self._marker, {**decisive, "files": self._files()})

    def is_intact(self) -> bool:
        """Return True if the files are those that the marker lists."""
        listed: dict[str, dict[str, int]] = self._read_marker()["files"]
        return self._files() == listed

    def rows(self, role: Role) -> DataFrame | None:
        """Return the valid and refused rows of a role; None if the batch has no such files."""
        if role not in self._read_marker()["files"]:
            return None
        return self._spark.read.parquet(literal_path(self._uri(role)))

    def all_rows(self) -> dict[Role, DataFrame]:
        """Return the rows of every role that the batch has."""
        return {role: rows for role in ROLES if (rows := self.rows(role)) is not None}

    def remove(self) -> None:
        """Delete the copy."""
        self._marker.unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _files(self) -> dict[str, dict[str, int]]:
        """Return the sizes in bytes of the files of each role."""
        return {
            role: {path.name: path.stat().st_size for path in (self._folder / role).glob("*.parquet")}
            for role in ROLES
            if (self._folder / role).exists()
        }

    def _read_marker(self) -> dict[str, Any]:
        marker: dict[str, Any] = json.loads(self._marker.read_text())
        return marker

    def _uri(self, role: Role) -> str:
        return file_uri(self._folder / role)


def staged_batches(files_root: str | Path) -> set[int]:
    """Return the numbers of the batches that have a copy, complete or not."""
    return {int(folder.name.removeprefix("ingest-")) for folder in (Path(files_root) / "staging").glob("ingest-*")}


def unreadable_files(
    spark: SparkSession, reader: Reader, files: Sequence[RawFile], settings: SourceSettings
) -> dict[RawFile, str]:
    """Return the files that cannot be read to their end, each with the cause.

    Examples are a truncated .gz and a file that vanished.
    """
    broken = {}
    for file in files:
        role = reader.role(file)
        try:
            if role is not None:
                _parse(spark, reader, role, [file], settings).write.format("noop").mode("overwrite").save()
        except SPARK_ERRORS as error:
            broken[file] = _cause(error)
    return broken


def _cause(error: Exception) -> str:
    if "native zStandard" in str(error):
        return "Spark on this machine has no library for zstd: compress the file with gzip (.gz) or bzip2 (.bz2)"
    lines = [line.strip() for line in str(error).splitlines()]
    causes = [line for line in lines if line.startswith("Caused by:")]
    text = (causes or lines)[-1 if causes else 0]
    return text.removeprefix("Caused by:").strip()[:300]


def _parse(
    spark: SparkSession, reader: Reader, role: Role, files: Sequence[RawFile], settings: SourceSettings
) -> DataFrame:
    if role == "plays":
        return parse_plays(reader.plays(spark, files), reader, settings)
    if role == "users":
        return parse_users(reader.users(spark, files), settings)
    return parse_items(reader.items(spark, files), settings)


def _with_file_time(spark: SparkSession, rows: DataFrame, files: Sequence[RawFile]) -> DataFrame:
    times = spark.createDataFrame(
        [(file.uri, file.modified_at) for file in files], "source_file STRING, file_modified_at TIMESTAMP"
    )
    return rows.join(F.broadcast(times), on="source_file", how="left")
