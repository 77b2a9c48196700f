"""History of the files of a source, read from ingested_files."""

import fnmatch
import glob
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from urllib.parse import unquote

import pyarrow as pa
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from recsys_spark.config.source import SourceSettings
from recsys_spark.core.errors import DataQualityError
from recsys_spark.ingestion.batches import FileBatch, settings_hash
from recsys_spark.ingestion.discovery import RawFile, utc_time
from recsys_spark.ingestion.file_states import FileState
from recsys_spark.ingestion.reader import Reader
from recsys_spark.storage.tables import Tables

__all__ = ["Attempt", "FileHistory", "Selection", "select_unread"]


@dataclass
class Selection:
    """Files to read, and files that stay unread until they or the settings change."""

    new: list[RawFile] = field(default_factory=list)
    still_refused: list[RawFile] = field(default_factory=list)
    changed_untimed: list[RawFile] = field(default_factory=list)

    def check_all_readable(self) -> None:
        """Raise DataQualityError naming the files that stay unread, with the remedy for each."""
        problems = [
            *[
                f"{file.uri} was refused before, and neither the file nor the source.* settings changed since then:"
                " see plays_quarantine, correct the file or the settings, or remove the file"
                for file in self.still_refused
            ],
            *[
                f"{file.uri} changed after it was ingested, and its plays carry no time that separates new plays from"
                f" old ones: --source.reprocess {glob.escape(file.name)!r} replaces its earlier rows"
                for file in self.changed_untimed
            ],
        ]
        if problems:
            raise DataQualityError("\n".join(problems))


class Attempt(NamedTuple):
    """An earlier version of a file in one batch."""

    identity: tuple[str, int, datetime]
    state: str
    settings_hash: str


@dataclass(frozen=True)
class FileHistory:
    """Files of earlier batches: the started ones, and the table of all.

    The table grows with every file that was ever read. Only rows of started batches and of files that are to be read
    are collected.
    """

    next_batch: int
    started_rows: tuple[Row, ...]
    rows: DataFrame

    @classmethod
    def read(cls, tables: Tables) -> "FileHistory":
        """Read ingested_files at the version that this run sees."""
        rows = tables.read("ingested_files").withColumn("modified_micros", F.unix_micros("modified_at"))
        unfinished = F.expr(f"collect_list(struct(*)) FILTER (WHERE status = '{FileState.STARTED}')")
        found = rows.agg(F.coalesce(F.max("batch_id"), F.lit(0)).alias("last"), unfinished.alias("unfinished")).first()
        if found is None:
            raise AssertionError("an aggregate without keys has one row")
        return cls(found["last"] + 1, tuple(found["unfinished"]), rows)

    @property
    def started(self) -> set[int]:
        """Return the numbers of the started batches of all sources."""
        return {row["batch_id"] for row in self.started_rows}

    def unfinished(self, source: str) -> FileBatch | None:
        """Return the first started batch of this source, which a killed run left; None if absent."""
        rows = [row for row in self.started_rows if row["source"] == source]
        if not rows:
            return None
        plan = min(rows, key=lambda row: row["batch_id"])
        files = tuple(sorted(_raw_file(row) for row in rows if row["batch_id"] == plan["batch_id"]))
        return FileBatch(
            plan["batch_id"], source, files, plan["run_id"], plan["settings_hash"], bool(plan["reprocess"])
        )

    def select(self, files: Sequence[RawFile], reader: Reader, settings: SourceSettings) -> Selection:
        """Return which files of a source to read and which stay unread."""
        if settings.reprocess is not None:
            return Selection([file for file in files if _matches(file.path, settings.reprocess)])
        attempts = self._attempts(files, settings.source_name)
        return select_unread([file for file in files if file.uri in attempts], attempts, reader, settings)

    def _attempts(self, files: Sequence[RawFile], source: str) -> dict[str, list[Attempt]]:
        """Return the earlier attempts at each file whose present version was not ingested, oldest first."""
        columns = {
            "source_file": [file.uri for file in files],
            "size": [file.size for file in files],
            "modified_micros": [file.modified_micros for file in files],
        }
        present = self.rows.sparkSession.createDataFrame(pa.table(columns))
        earlier = self.rows.where(F.col("source") == source).select(*columns, "batch_id", "status", "settings_hash")
        ingested = earlier.where(F.col("status") == FileState.INGESTED)
        unread = present.join(ingested, on=list(columns), how="left_anti").select("source_file")
        attempts: dict[str, list[Attempt]] = {}
        for row in unread.join(earlier, on="source_file", how="left").orderBy("batch_id").collect():
            tried = attempts.setdefault(row["source_file"], [])
            if row["batch_id"] is not None:
                identity = (row["source_file"], row["size"], utc_time(row["modified_micros"]))
                tried.append(Attempt(identity, row["status"], row["settings_hash"]))
        return attempts


def select_unread(
    files: Iterable[RawFile], attempts: Mapping[str, Sequence[Attempt]], reader: Reader, settings: SourceSettings
) -> Selection:
    """Divide files that were not ingested into those to read and those that stay unread."""
    selection = Selection()
    current_hash = settings_hash(settings)
    for file in files:
        earlier = attempts.get(file.uri, [])
        same = [attempt for attempt in earlier if attempt.identity == file.identity]
        if same and same[-1].state == FileState.REFUSED and same[-1].settings_hash == current_hash:
            selection.still_refused.append(file)
        elif _is_untimed(reader, file) and any(attempt.state == FileState.INGESTED for attempt in earlier):
            selection.changed_untimed.append(file)
        else:
            selection.new.append(file)
    return selection


def _raw_file(row: Row) -> RawFile:
    uri = row["source_file"]
    return RawFile(uri, unquote(uri), row["size"], utc_time(row["modified_micros"]))


def _matches(path: str, pattern: str) -> bool:
    """Return True if whole parts at the end of a path match a glob: 1.csv does not match day-11.csv."""
    return fnmatch.fnmatchcase(path, f"*{pattern}" if pattern.startswith("/") else f"*/{pattern}")


def _is_untimed(reader: Reader, file: RawFile) -> bool:
    return reader.kind == "events" and not reader.timed and reader.role(file) == "plays"
