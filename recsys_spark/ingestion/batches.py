"""The plan of an ingestion: which files it reads, written down before anything else is.

Exactly-once over several tables rests on it. The plan (batch number, files with size and time) is committed as
`started`; a run that finds a started plan completes that very plan before it looks for new files; every append
carries the batch number as its transaction, so that repeating it adds nothing; `ingested` is written last.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config.source import SourceSettings
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.storage.schemas import TABLES
from recsys_spark.storage.tables import Tables

__all__ = ["Batch", "FileCounts", "Verdict", "record", "settings_hash", "start_batch"]

# Settings that say which files to read, not what their rows mean.
NOT_MEANING = {"path", "reprocess", "name"}


@dataclass(frozen=True)
class Batch:
    """Files that are read together; `run_id` is that of the run that planned it, whoever completes it."""

    batch_id: int
    source: str
    files: tuple[RawFile, ...]
    run_id: str
    settings_hash: str
    reprocess: bool = False


class FileCounts(NamedTuple):
    """Rows of a file, as ingested_files has them."""

    read: int
    valid: int
    duplicate: int
    quarantined: int


class Verdict(NamedTuple):
    """What became of a file. A refusal that is not remembered is tried again by the next run as it is."""

    file: RawFile
    status: str
    remembered: bool = True
    counts: FileCounts | None = None


def settings_hash(settings: SourceSettings) -> str:
    """Identifies how rows are read: a refused file is worth another try only when this changes."""
    meaning = settings.model_dump_json(exclude=NOT_MEANING)
    return hashlib.sha256(meaning.encode()).hexdigest()[:16]


def start_batch(spark: SparkSession, tables: Tables, batch: Batch) -> None:
    """Commits the plan; from here on it will be completed, by this run or by a later one."""
    # The number is new, so there is nothing to replace, which would cost a commit several times this one.
    tables.append("ingested_files", _rows(spark, batch, [Verdict(file, "started") for file in batch.files]))


def record(
    spark: SparkSession,
    tables: Tables,
    batch: Batch,
    verdicts: Sequence[Verdict],
) -> None:
    """Writes the rows of a batch in ingested_files, in the place of what stood there of it."""
    tables.replace("ingested_files", _rows(spark, batch, verdicts), "batch_id", batch.batch_id)


def _rows(spark: SparkSession, batch: Batch, verdicts: Sequence[Verdict]) -> DataFrame:
    rows = [
        (
            *(batch.batch_id, batch.source, file.uri, file.size, file.modified_at, status),
            *(counts or (None for _ in FileCounts._fields)),
            *(batch.run_id, batch.settings_hash if remembered else "", batch.reprocess),
        )
        for file, status, remembered, counts in verdicts
    ]
    return spark.createDataFrame(rows, TABLES["ingested_files"].schema)
