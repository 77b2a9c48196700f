"""What ingested_files says of the files of a source: which were read, which wait for a person, which are half read."""

import fnmatch
import glob
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import unquote

from pyspark.sql import Row
from pyspark.sql import functions as F

from recsys_spark.config.source import SourceSettings
from recsys_spark.ingestion.batches import Batch, settings_hash
from recsys_spark.ingestion.discovery import RawFile, utc_time
from recsys_spark.ingestion.reader import Reader
from recsys_spark.storage.tables import Tables

__all__ = ["Ledger", "Selection"]


@dataclass
class Selection:
    """What a look at the source found."""

    new: list[RawFile] = field(default_factory=list)
    still_refused: list[RawFile] = field(default_factory=list)
    changed_untimed: list[RawFile] = field(default_factory=list)

    def problems(self) -> list[str]:
        """What a person must decide about the files that stay unread."""
        return [
            *[
                f"{file.uri} was refused before and neither it nor the source.* settings have changed since:"
                " see plays_quarantine, mend one of them, or remove the file"
                for file in self.still_refused
            ],
            *[
                f"{file.uri} changed after it was ingested, and its plays carry no time to tell new from old:"
                f" --source.reprocess {glob.escape(file.name)!r} replaces its earlier rows"
                for file in self.changed_untimed
            ],
        ]


@dataclass(frozen=True)
class _Known:
    identity: tuple[str, int, datetime]
    status: str
    settings_hash: str


@dataclass(frozen=True)
class Ledger:
    """The rows of ingested_files by batch, read at once: they grow with the number of files, not with their rows."""

    rows: tuple[Row, ...]

    @classmethod
    def read(cls, tables: Tables) -> "Ledger":
        """As this run sees the table."""
        rows = tables.read("ingested_files").withColumn("modified_micros", F.unix_micros("modified_at"))
        return cls(tuple(rows.orderBy("batch_id").collect()))

    @property
    def next_batch(self) -> int:
        """A number that no plan has had."""
        return 1 + max((row["batch_id"] for row in self.rows), default=0)

    @property
    def started(self) -> set[int]:
        """The numbers of all plans, of any source, that are yet to be completed."""
        return {row["batch_id"] for row in self.rows if row["status"] == "started"}

    def unfinished(self, source: str) -> Batch | None:
        """The plan of this source that a killed run left behind."""
        rows = [row for row in self._of(source) if row["status"] == "started"]
        if not rows:
            return None
        files = tuple(sorted(_file_of(row) for row in rows))
        plan = rows[0]
        return Batch(plan["batch_id"], source, files, plan["run_id"], plan["settings_hash"], bool(plan["reprocess"]))

    def select(self, files: Iterable[RawFile], reader: Reader, settings: SourceSettings) -> Selection:
        """Sorts the files of a source into those to read and those that stay unread."""
        known: dict[str, list[_Known]] = {}
        for row in self._of(settings.source_name):
            file = _file_of(row)
            known.setdefault(file.uri, []).append(_Known(file.identity, row["status"], row["settings_hash"]))
        selection = Selection()
        current_hash = settings_hash(settings)
        for file in files:
            history = known.get(file.uri, [])
            same = [entry for entry in history if entry.identity == file.identity]
            if settings.reprocess is not None:
                if fnmatch.fnmatchcase(file.path, f"*{settings.reprocess}"):
                    selection.new.append(file)
            elif any(entry.status == "ingested" for entry in same):
                continue
            elif same and same[-1].status == "refused" and same[-1].settings_hash == current_hash:
                selection.still_refused.append(file)
            elif _is_untimed(reader, file) and any(entry.status == "ingested" for entry in history):
                selection.changed_untimed.append(file)
            else:
                selection.new.append(file)
        return selection

    def _of(self, source: str) -> list[Row]:
        return [row for row in self.rows if row["source"] == source]


def _file_of(row: Row) -> RawFile:
    uri = row["source_file"]
    return RawFile(uri, unquote(uri), row["size"], utc_time(row["modified_micros"]))


def _is_untimed(reader: Reader, file: RawFile) -> bool:
    return reader.kind == "events" and not reader.timed and reader.role(file) == "plays"
