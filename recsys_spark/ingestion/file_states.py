"""States of a raw file in a batch: started, refused, ingested.

This module alone names the states and writes them to ingested_files.

A file of a batch takes one of these paths, together with all other files of the batch:

    (new batch) --start--> started --finish--> ingested
                           started --refuse--> refused
    (new batch) ------------refuse-----------> refused

- `start` commits the plan. A started batch is completed or refused by its run, or by a later run of the source.
- `finish` is the last commit of a batch whose rows are all in the tables.
- `refuse` ends a batch that changes no table of plays, users or items. A batch that is refused without a start holds
  files that need a decision before they may be read.

Ingested and refused are final: another attempt at a file belongs to another batch. Each transition is one commit and
may be repeated after a kill.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from pyspark.sql import DataFrame

from recsys_spark.ingestion.batches import FileBatch
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.storage.schemas import TABLES
from recsys_spark.storage.tables import Tables

__all__ = ["FileCounts", "FileResult", "FileState", "finish", "refuse", "start"]


class FileState(StrEnum):
    """Values of ingested_files.status."""

    STARTED = "started"
    REFUSED = "refused"
    INGESTED = "ingested"


class FileCounts(NamedTuple):
    """Rows of a file, in the order of the columns of ingested_files."""

    read: int
    valid: int
    duplicate: int
    quarantined: int


class FileResult(NamedTuple):
    """Result of one file in a batch.

    The next run reads a refused file again if it is `retryable`, else only after the file or the settings changed.
    """

    file: RawFile
    counts: FileCounts | None = None
    retryable: bool = False


def start(tables: Tables, batch: FileBatch) -> None:
    """Commit the plan of a new batch."""
    results = [FileResult(file) for file in batch.files]
    # An append: no rows of a new batch can exist, and a replacement costs several times as much.
    tables.append("ingested_files", _rows(tables, batch, FileState.STARTED, results))


def finish(tables: Tables, batch: FileBatch, results: Sequence[FileResult]) -> None:
    """Mark the files of a started batch as ingested, with their counts."""
    _replace(tables, batch, FileState.INGESTED, results)


def refuse(tables: Tables, batch: FileBatch, results: Sequence[FileResult]) -> None:
    """Mark the files of a new or started batch as refused."""
    _replace(tables, batch, FileState.REFUSED, results)


def _replace(tables: Tables, batch: FileBatch, state: FileState, results: Sequence[FileResult]) -> None:
    tables.replace("ingested_files", _rows(tables, batch, state, results), "batch_id", batch.batch_id)


def _rows(tables: Tables, batch: FileBatch, state: FileState, results: Sequence[FileResult]) -> DataFrame:
    rows = [
        (
            *(batch.batch_id, batch.source, file.uri, file.size, file.modified_at, state.value),
            *(counts or (None for _ in FileCounts._fields)),
            *(batch.run_id, "" if retryable else batch.settings_hash, batch.reprocess),
        )
        for file, counts, retryable in results
    ]
    return tables.spark.createDataFrame(rows, TABLES["ingested_files"].schema)
