"""Commit of a batch: stage, check, append plays, merge users and items, and only then mark it ingested.

Every step may be repeated after a kill without doubling anything (see batches.py).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import reduce
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.logs import step
from recsys_spark.ingestion.batches import FileBatch
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.file_states import FileCounts, FileResult, finish, refuse
from recsys_spark.ingestion.parsing import is_refused
from recsys_spark.ingestion.play_commit import commit_plays
from recsys_spark.ingestion.quarantine import append_quarantine, quarantine_error
from recsys_spark.ingestion.reader import Reader
from recsys_spark.ingestion.staged_copy import ensure_copy
from recsys_spark.ingestion.staging import ROLES, Staging
from recsys_spark.ingestion.user_item_changes import ProfileChanges, item_rows, prepare_changes, user_rows
from recsys_spark.storage.tables import Tables

__all__ = ["complete"]


class _RowCounts(NamedTuple):
    """Rows of one file in the staged copy."""

    is_plays: bool
    read: int
    refused: int


def complete(tables: Tables, config: BaseConfig, batch: FileBatch, reader: Reader) -> dict[str, int]:
    """Carry out a started batch and return its row counts.

    Raises DataQualityError when files cannot be read, QuarantineLimitError when too many rows are refused; `plays` is
    then as before.
    """
    staging = Staging(tables.spark, config.files_root, batch.batch_id)
    ensure_copy(tables, config, batch, reader, staging)
    counts = _count(staging)
    if any(rows.refused for rows in counts.values()):
        append_quarantine(tables, batch, staging)
    # The limit under which the copy was made: a run that completes the batch may have another.
    limit = staging.max_quarantine_share
    if limit is None:
        limit = config.source.max_quarantine_share
    _check_quarantine_share(tables, batch, staging, counts, limit)
    # The staged copy holds all that changes of users and items: computed beside the append, committed after it.
    with _computing(_profile_changes(tables, staging)) as changes:
        with step("appending plays"):
            commit_plays(tables, batch, staging)
        with step("merging users and items"):
            for future in changes:
                future.result().commit(tables, batch.batch_id)
    return _finish(tables, batch, staging, counts)


@contextmanager
def _computing(computations: Iterable[Callable[[], ProfileChanges]]) -> Iterator[list[Future[ProfileChanges]]]:
    """Run computations in threads while the block runs; an error or interrupt does not wait for them."""
    threads = ThreadPoolExecutor()
    try:
        yield [threads.submit(compute) for compute in computations]
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _count(staging: Staging) -> dict[str, _RowCounts]:
    """Return the row counts by file; files without rows are absent."""
    frames = [
        rows.groupBy("source_file").agg(
            F.lit(role == "plays").alias("is_plays"), F.count(F.lit(1)), F.count_if(is_refused())
        )
        for role, rows in staging.all_rows().items()
    ]
    # One row a file of the plan.
    return {file: _RowCounts(*counted) for file, *counted in reduce(DataFrame.union, frames).collect()}


def _check_quarantine_share(
    tables: Tables, batch: FileBatch, staging: Staging, counts: Mapping[str, _RowCounts], limit: float
) -> None:
    """Refuse the batch and raise QuarantineLimitError where the share of refused rows is above `limit`."""
    read, refused = sum(rows.read for rows in counts.values()), sum(rows.refused for rows in counts.values())
    if not read or refused / read <= limit:
        return
    error = quarantine_error(batch, staging, read, refused, limit)
    refuse(tables, batch, [FileResult(file, _counts_if_refused(file, counts)) for file in batch.files])
    staging.remove()
    raise error


def _profile_changes(tables: Tables, staging: Staging) -> Iterator[Callable[[], ProfileChanges]]:
    """Yield the computations of the changed users and items that the batch can have."""
    valid = {role: rows.where(~is_refused()) for role, rows in staging.all_rows().items()}
    plays, users, items = (valid.get(role) for role in ROLES)
    if plays is not None or users is not None:
        yield prepare_changes(tables, "users", user_rows(plays, users))
    if plays is not None or items is not None:
        yield prepare_changes(tables, "items", item_rows(plays, items))


def _finish(tables: Tables, batch: FileBatch, staging: Staging, counts: Mapping[str, _RowCounts]) -> dict[str, int]:
    batch_plays = tables.read("plays").where(F.col("run_id") == batch.run_id)
    kept = {file: number for file, number in batch_plays.groupBy("source_file").count().collect()}
    results = [FileResult(file, _counts_if_ingested(file, counts, kept)) for file in batch.files]
    finish(tables, batch, results)
    staging.remove()
    return _totals(results, counts)


def _counts_if_ingested(file: RawFile, counts: Mapping[str, _RowCounts], kept: Mapping[str, int]) -> FileCounts:
    """Return the counts of a file of an ingested batch; `kept` has the new plays by file.

    Files of users and items have no duplicates.
    """
    rows = counts.get(file.uri, _RowCounts(True, 0, 0))
    valid = rows.read - rows.refused
    new = kept.get(file.uri, 0) if rows.is_plays else valid
    return FileCounts(rows.read, new, valid - new, rows.refused)


def _counts_if_refused(file: RawFile, counts: Mapping[str, _RowCounts]) -> FileCounts:
    """Return the counts of a file of a refused batch.

    No row of it counts as valid or as a duplicate.
    """
    rows = counts.get(file.uri, _RowCounts(True, 0, 0))
    return FileCounts(rows.read, 0, 0, rows.refused)


def _totals(results: Sequence[FileResult], counts: Mapping[str, _RowCounts]) -> dict[str, int]:
    """Return the summed counts of all files; those of users and items have the prefix `profile_`."""
    totals: dict[str, int] = {}
    for file, file_counts, _ in results:
        prefix = "" if file.uri not in counts or counts[file.uri].is_plays else "profile_"
        for name, number in (file_counts._asdict() if file_counts is not None else {}).items():
            totals[f"{prefix}{name}"] = totals.get(f"{prefix}{name}", 0) + number
    return totals
