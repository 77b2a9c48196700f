"""Batches: the files that one ingestion reads together, planned before anything is read.

Exactly-once over several tables rests on the plan. The plan (batch number, files with size and time) is committed
first (file_states.start). A run that finds a started plan completes that very plan before it looks for new files.
Every append carries the batch number as its transaction, so that repeating it adds nothing. The final state of the
files is written last (file_states.finish).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.source import SourceSettings
from recsys_spark.ingestion.discovery import RawFile

__all__ = ["FileBatch", "plan_batch", "settings_hash", "stamp"]

APPLICATION = "recsys_spark.ingest_plays"
# Settings that choose files or runs; all others change what the rows of a file mean.
FILE_CHOICE = {"path", "reprocess", "name"}


@dataclass(frozen=True)
class FileBatch:
    """Files that are read together; `run_id` is the run that planned the batch."""

    batch_id: int
    source: str
    files: tuple[RawFile, ...]
    run_id: str
    settings_hash: str
    reprocess: bool = False

    @property
    def transaction(self) -> tuple[str, int]:
        """Return the application and number that make an append idempotent.

        Each source is an application of its own: a plan that waits while other sources go on has a smaller number
        than theirs, and must not pass for a repetition.
        """
        return f"{APPLICATION}/{self.source}", self.batch_id


def plan_batch(batch_id: int, files: Sequence[RawFile], settings: SourceSettings, run_id: str) -> FileBatch:
    """Return the plan to read these files under these settings."""
    reprocess = settings.reprocess is not None
    return FileBatch(batch_id, settings.source_name, tuple(files), run_id, settings_hash(settings), reprocess)


def settings_hash(settings: SourceSettings) -> str:
    """Return a hash of the settings that decide how rows are read.

    A refused file is worth another try only when this hash changes.
    """
    meaning = settings.model_dump_json(exclude=FILE_CHOICE)
    return hashlib.sha256(meaning.encode()).hexdigest()[:16]


def stamp(rows: DataFrame, batch: FileBatch) -> DataFrame:
    """Add the batch's source and run, and the time of ingestion, to its rows."""
    return (
        rows.withColumn("source", F.lit(batch.source))
        .withColumn("ingested_at", F.current_timestamp())
        .withColumn("run_id", F.lit(batch.run_id))
    )
