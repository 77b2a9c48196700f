"""History of the files of a source, read from ingested_files."""

import fnmatch
import glob
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import unquote

from pyspark.sql import Row
from pyspark.sql import functions as F

from recsys_spark.config.source import SourceSettings
from recsys_spark.core.errors import DataQualityError
from recsys_spark.ingestion.batches import FileBatch, settings_hash
from recsys_spark.ingestion.discovery import RawFile, utc_time
from recsys_spark.ingestion.file_states import FileState
from recsys_spark.ingestion.reader import Reader
from recsys_spark.storage.tables import Tables

__all__ = ["FileHistory", "Selection"]


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


@dataclass(frozen=True)
class _Attempt:
    """An earlier version of a file in one batch."""

    identity: tuple[str, int, datetime]
    state: str
    settings_hash: str


@dataclass(frozen=True)
class FileHistory:
    """Rows of ingested_files in the order of their batches.

    All are collected: their number grows with the number of raw files, independent of the rows in them.
    """

    rows: tuple[Row, ...]

    @classmethod
    def read(cls, tables: Tables) -> "FileHistory":
        """Read ingested_files at the version that this run sees."""
        rows = tables.read("ingested_files").withColumn("modified_micros", F.unix_micros("modified_at"))
        return cls(tuple(rows.orderBy("batch_id").collect()))

    @property
    def next_batch(self) -> int:
        """Return the smallest number above those of all batches."""
        return 1 + max((row["batch_id"] for row in self.rows), default=0)

    @property
    def started(self) -> set[int]:
        """Return the numbers of the started batches of all sources."""
        return {row["batch_id"] for row in self.rows if row["status"] == FileState.STARTED}

    def unfinished(self, source: str) -> FileBatch | None:
        """Return the started batch of this source, which a killed run left; None if absent."""
        rows = [row for row in self._rows_of(source) if row["status"] == FileState.STARTED]
        if not rows:
            return None
        files = tuple(sorted(_raw_file(row) for row in rows))
        plan = rows[0]
        return FileBatch(
            plan["batch_id"], source, files, plan["run_id"], plan["settings_hash"], bool(plan["reprocess"])
        )

    def select(self, files: Iterable[RawFile], reader: Reader, settings: SourceSettings) -> Selection:
        """Return which files of a source to read and which stay unread."""
        attempts: dict[str, list[_Attempt]] = {}
        for row in self._rows_of(settings.source_name):
            file = _raw_file(row)
            attempts.setdefault(file.uri, []).append(_Attempt(file.identity, row["status"], row["settings_hash"]))
        selection = Selection()
        current_hash = settings_hash(settings)
        for file in files:
            earlier = attempts.get(file.uri, [])
            same = [attempt for attempt in earlier if attempt.identity == file.identity]
            if settings.reprocess is not None:
                if _matches(file.path, settings.reprocess):
                    selection.new.append(file)
            elif any(attempt.state == FileState.INGESTED for attempt in same):
                continue
            elif same and same[-1].state == FileState.REFUSED and same[-1].settings_hash == current_hash:
                selection.still_refused.append(file)
            elif _is_untimed(reader, file) and any(attempt.state == FileState.INGESTED for attempt in earlier):
                selection.changed_untimed.append(file)
            else:
                selection.new.append(file)
        return selection

    def _rows_of(self, source: str) -> list[Row]:
        return [row for row in self.rows if row["source"] == source]


def _raw_file(row: Row) -> RawFile:
    uri = row["source_file"]
    return RawFile(uri, unquote(uri), row["size"], utc_time(row["modified_micros"]))


def _matches(path: str, pattern: str) -> bool:
    """Return True if whole parts at the end of a path match a glob: 1.csv does not match day-11.csv."""
    return fnmatch.fnmatchcase(path, f"*{pattern}" if pattern.startswith("/") else f"*/{pattern}")


def _is_untimed(reader: Reader, file: RawFile) -> bool:
    return reader.kind == "events" and not reader.timed and reader.role(file) == "plays"
