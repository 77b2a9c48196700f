"""The plan of an ingestion: which files it reads, written down before anything else is.

Exactly-once over several tables rests on it. The plan (batch number, files with size and time) is committed as
`started`; a run that finds a started plan completes that very plan before it looks for new files; every append
carries the batch number as its transaction, so that repeating it adds nothing; `ingested` is written last.
"""

import fnmatch
import glob
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from urllib.parse import unquote

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from recsys_spark.ingestion.discovery import RawFile, utc_time
from recsys_spark.ingestion.reader import Reader
from recsys_spark.schemas import TABLES
from recsys_spark.source_settings import SourceSettings
from recsys_spark.tables import Tables

__all__ = [
    "Batch",
    "Selection",
    "Verdict",
    "record",
    "refuse_changed",
    "select_files",
    "settings_hash",
    "start_batch",
    "started_batches",
    "unfinished_batch",
]

# Settings that say which files to read, not what their rows mean.
NOT_MEANING = {"path", "reprocess", "name"}
COUNTS = ("rows_read", "rows_valid", "rows_duplicate", "rows_quarantined")


@dataclass(frozen=True)
class Batch:
    """Files that are read together; `run_id` is that of the run that planned it, whoever completes it."""

    batch_id: int
    source: str
    files: tuple[RawFile, ...]
    run_id: str
    settings_hash: str
    reprocess: bool = False


@dataclass
class Selection:
    """What a look at the source found."""

    new: list[RawFile] = field(default_factory=list)
    reprocess: bool = False
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


class Verdict(NamedTuple):
    """What became of a file. A refusal that is not remembered is tried again by the next run as it is."""

    file: RawFile
    status: str
    remembered: bool = True


@dataclass(frozen=True)
class _Known:
    identity: tuple[str, int, datetime]
    status: str
    settings_hash: str


def settings_hash(settings: SourceSettings) -> str:
    """Identifies how rows are read: a refused file is worth another try only when this changes."""
    meaning = settings.model_dump_json(exclude=NOT_MEANING)
    return hashlib.sha256(meaning.encode()).hexdigest()[:16]


def unfinished_batch(tables: Tables, source: str) -> Batch | None:
    """The plan of this source that a killed run left behind."""
    rows = _of_source(tables, source).where(F.col("status") == "started").collect()
    if not rows:
        return None
    files = tuple(sorted(_file_of(row) for row in rows))
    plan = rows[0]
    return Batch(plan["batch_id"], source, files, plan["run_id"], plan["settings_hash"], bool(plan["reprocess"]))


def started_batches(tables: Tables) -> set[int]:
    """The numbers of all plans, of any source, that are yet to be completed."""
    rows = tables.read("ingested_files").where(F.col("status") == "started").select("batch_id").distinct()
    return {row["batch_id"] for row in rows.collect()}


def select_files(tables: Tables, files: Iterable[RawFile], reader: Reader, settings: SourceSettings) -> Selection:
    """Sorts the files of a source into those to read and those that stay unread.

    The table of known files is read whole: it grows with the number of files, not with their rows.
    """
    known: dict[str, list[_Known]] = {}
    for row in _of_source(tables, settings.source_name).orderBy("batch_id").collect():
        file = _file_of(row)
        known.setdefault(file.uri, []).append(_Known(file.identity, row["status"], row["settings_hash"]))
    selection = Selection(reprocess=settings.reprocess is not None)
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


def start_batch(
    spark: SparkSession, tables: Tables, selection: Selection, settings: SourceSettings, run_id: str
) -> Batch:
    """Commits the plan; from here on it will be completed, by this run or by a later one."""
    batch = _next_batch(tables, selection.new, settings, run_id, selection.reprocess)
    # The number is new, so there is nothing to replace, which would cost a commit several times this one.
    tables.append("ingested_files", _rows(spark, batch, [Verdict(file, "started") for file in batch.files]))
    return batch


def refuse_changed(
    spark: SparkSession, tables: Tables, selection: Selection, settings: SourceSettings, run_id: str
) -> None:
    """Remembers files of untimed events that changed after they were ingested, so that each is reported once anew."""
    batch = _next_batch(tables, selection.changed_untimed, settings, run_id, reprocess=False)
    record(spark, tables, batch, [Verdict(file, "refused") for file in batch.files])


def record(
    spark: SparkSession,
    tables: Tables,
    batch: Batch,
    verdicts: Sequence[Verdict],
    counts: DataFrame | None = None,
) -> None:
    """Writes the rows of a batch in ingested_files, in the place of what stood there of it.

    counts: source_file, rows_read, rows_valid, rows_duplicate, rows_quarantined; a file without is counted as empty.
    """
    frame = _rows(spark, batch, verdicts)
    if counts is not None:
        frame = frame.drop(*COUNTS).join(F.broadcast(counts), on="source_file", how="left")
        frame = frame.fillna(0, subset=list(COUNTS))
    tables.replace("ingested_files", frame, "batch_id", batch.batch_id)


def _rows(spark: SparkSession, batch: Batch, verdicts: Sequence[Verdict]) -> DataFrame:
    rows = [
        (
            *(batch.batch_id, batch.source, file.uri, file.size, file.modified_at, status),
            *(None for _ in COUNTS),
            *(batch.run_id, batch.settings_hash if remembered else "", batch.reprocess),
        )
        for file, status, remembered in verdicts
    ]
    return spark.createDataFrame(rows, TABLES["ingested_files"].schema)


def _next_batch(
    tables: Tables, files: Sequence[RawFile], settings: SourceSettings, run_id: str, reprocess: bool
) -> Batch:
    last = tables.read("ingested_files").agg(F.max("batch_id")).first()
    batch_id = 1 + ((last[0] or 0) if last is not None else 0)
    return Batch(batch_id, settings.source_name, tuple(files), run_id, settings_hash(settings), reprocess)


def _of_source(tables: Tables, source: str) -> DataFrame:
    rows = tables.read("ingested_files").where(F.col("source") == source)
    return rows.withColumn("modified_micros", F.unix_micros("modified_at"))


def _file_of(row: Row) -> RawFile:
    uri = row["source_file"]
    return RawFile(uri, unquote(uri), row["size"], utc_time(row["modified_micros"]))


def _is_untimed(reader: Reader, file: RawFile) -> bool:
    return reader.kind == "events" and not reader.timed and reader.role(file) == "plays"
