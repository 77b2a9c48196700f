"""The rows of a batch, parsed once and kept as Parquet until the batch is complete.

Counting, refusing, deduplicating and appending all need the rows; reading raw text again for each would cost
more than this copy, and the raw files may change meanwhile. A copy with its marker is complete, as long as the files
that the marker lists are there as they were: a machine that loses power can lose files that were just written.
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
from recsys_spark.ingestion.batches import Batch
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.events import with_key
from recsys_spark.ingestion.reader import Reader, Role
from recsys_spark.ingestion.validation import parse_items, parse_plays, parse_users
from recsys_spark.storage.spark_errors import SPARK_ERRORS

__all__ = ["ROLES", "Staging", "staged_batches", "unreadable_files"]

log = logging.getLogger(__name__)

# Read soon, a few times, and deleted: dictionaries would cost more than the bytes that they save.
AS_COPY = {"compression": "lz4", "parquet.enable.dictionary": "false"}

ROLES: tuple[Role, ...] = ("plays", "users", "items")


class Staging:
    """The parsed rows of one batch below files.root."""

    def __init__(self, spark: SparkSession, files_root: Path, batch_id: int) -> None:
        self._spark = spark
        self._folder = files_root / "staging" / f"ingest-{batch_id:08d}"
        self._marker = self._folder / "complete"

    @property
    def is_complete(self) -> bool:
        """Whether an earlier run parsed the whole batch."""
        return self._marker.exists()

    @property
    def kind(self) -> str:
        """What a staged play states (events, totals, ratings), by the settings that it was parsed with."""
        return str(self._described()["kind"])

    def write(self, reader: Reader, batch: Batch, settings: SourceSettings) -> None:
        """Parses the files of the batch; rows keep the name and time of their file. `finish` makes them a copy."""
        self.remove()
        for role in ROLES:
            files = [file for file in batch.files if reader.role(file) == role]
            if files:
                rows = _parse(self._spark, reader, role, files, settings)
                rows = _with_file_time(self._spark, rows, files)
                if role == "plays":
                    rows = with_key(rows, batch.source, reader.kind)
                rows.write.mode("overwrite").options(**AS_COPY).parquet(self._uri(role))

    def finish(self, reader: Reader) -> None:
        """Says that what was written is whole."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_json(self._marker, {"kind": reader.kind, "files": self._files()})

    def is_whole(self) -> bool:
        """Whether the files are those that the marker lists."""
        listed: dict[str, dict[str, int]] = self._described()["files"]
        return self._files() == listed

    def rows(self, role: Role) -> DataFrame | None:
        """Valid and refused rows of a role; None if the batch has no such files."""
        if role not in self._described()["files"]:
            return None
        return self._spark.read.parquet(literal_path(self._uri(role)))

    def all_rows(self) -> dict[Role, DataFrame]:
        """The rows of every role that the batch has."""
        return {role: rows for role in ROLES if (rows := self.rows(role)) is not None}

    def remove(self) -> None:
        """Deletes the copy."""
        self._marker.unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _files(self) -> dict[str, dict[str, int]]:
        """Sizes of the files of each role."""
        return {
            role: {path.name: path.stat().st_size for path in (self._folder / role).glob("*.parquet")}
            for role in ROLES
            if (self._folder / role).exists()
        }

    def _described(self) -> dict[str, Any]:
        described: dict[str, Any] = json.loads(self._marker.read_text())
        return described

    def _uri(self, role: Role) -> str:
        return file_uri(self._folder / role)


def staged_batches(files_root: Path) -> set[int]:
    """The numbers of the batches that have a copy, complete or not."""
    return {int(folder.name.removeprefix("ingest-")) for folder in (files_root / "staging").glob("ingest-*")}


def unreadable_files(
    spark: SparkSession, reader: Reader, files: Sequence[RawFile], settings: SourceSettings
) -> dict[RawFile, str]:
    """The files that cannot be read to their end (a truncated .gz, one that vanished), each with the cause."""
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
