"""Commit of a batch: stage, check, append plays, merge users and items, and only then mark it ingested.

Every step may be repeated after a kill without doubling anything (see batches.py).
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress

from pyspark.sql import functions as F

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import DataQualityError
from recsys_spark.core.logs import step
from recsys_spark.ingestion.batches import FileBatch
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.file_states import FileCounts, FileResult, finish, refuse
from recsys_spark.ingestion.parsing import is_refused
from recsys_spark.ingestion.play_commit import commit_plays
from recsys_spark.ingestion.quarantine import append_quarantine, quarantine_error, warn_about_quarantine
from recsys_spark.ingestion.reader import Reader, last_lines
from recsys_spark.ingestion.row_counts import RowCounts, count_rows, warn_about_ids, warn_about_times
from recsys_spark.ingestion.staged_copy import ensure_copy
from recsys_spark.ingestion.staging import ROLES, Staging
from recsys_spark.ingestion.user_item_changes import ProfileChanges, item_rows, prepare_changes, user_rows
from recsys_spark.storage.spark_errors import SPARK_ERRORS
from recsys_spark.storage.tables import Tables

__all__ = ["complete"]

log = logging.getLogger(__name__)


def complete(tables: Tables, config: BaseConfig, batch: FileBatch, reader: Reader) -> dict[str, int]:
    """Carry out a started batch and return its row counts.

    Raises DataQualityError when files cannot be read or lack the rows that they should have, QuarantineLimitError when
    too many rows are refused; `plays` is then as before.
    """
    staging = Staging(tables.spark, config.files_root, batch.batch_id)
    ensure_copy(tables, config, batch, reader, staging)
    counts = count_rows(staging)
    _refuse_faulty_if_empty(tables, batch, reader, staging, counts)
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
    warn_about_quarantine(batch, staging, counts)
    warn_about_ids(counts)
    untimed = warn_about_times(counts, reader)
    return _finish(tables, batch, staging, counts) | ({"untimed": untimed} if untimed else {})


@contextmanager
def _computing(computations: Iterable[Callable[[], ProfileChanges]]) -> Iterator[list[Future[ProfileChanges]]]:
    """Run computations in threads while the block runs; an error or interrupt does not wait for them."""
    threads = ThreadPoolExecutor()
    try:
        yield [threads.submit(compute) for compute in computations]
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _refuse_faulty_if_empty(
    tables: Tables, batch: FileBatch, reader: Reader, staging: Staging, counts: Mapping[str, RowCounts]
) -> None:
    """Refuse the batch and raise DataQualityError where a file without rows is at fault."""
    empty = [file for file in batch.files if file.size and file.uri not in counts]
    if not empty:
        return
    faults = {}
    # The copy of a batch is completed even if its raw files are gone.
    with suppress(*SPARK_ERRORS):
        lines = last_lines(tables.spark, empty)
        faults = {file: fault for file in empty if (fault := reader.fault_if_empty(file, lines.get(file.uri)))}
    if faults:
        staging.remove()
        refuse(tables, batch, [FileResult(file, retryable=file not in faults) for file in batch.files])
        found = [f"{file.uri} has {file.size} bytes and no rows: it {fault}" for file, fault in faults.items()]
        raise DataQualityError("\n".join([*found, "nothing was ingested: correct the file, or remove it"]))
    log.warning("%d of %d files hold no rows, such as %s", len(empty), len(batch.files), empty[0].uri)


def _check_quarantine_share(
    tables: Tables, batch: FileBatch, staging: Staging, counts: Mapping[str, RowCounts], limit: float
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


def _finish(tables: Tables, batch: FileBatch, staging: Staging, counts: Mapping[str, RowCounts]) -> dict[str, int]:
    batch_plays = tables.read("plays").where(F.col("run_id") == batch.run_id)
    kept = {file: number for file, number in batch_plays.groupBy("source_file").count().collect()}
    results = [FileResult(file, _counts_if_ingested(file, counts, kept)) for file in batch.files]
    finish(tables, batch, results)
    staging.remove()
    return _totals(results, counts)


def _counts_if_ingested(file: RawFile, counts: Mapping[str, RowCounts], kept: Mapping[str, int]) -> FileCounts:
    """Return the counts of a file of an ingested batch; `kept` has the new plays by file.

    Files of users and items have no duplicates.
    """
    rows = counts.get(file.uri, RowCounts(True, 0, 0))
    new = kept.get(file.uri, 0) if rows.is_plays else rows.valid
    return FileCounts(rows.read, new, rows.valid - new, rows.refused)


def _counts_if_refused(file: RawFile, counts: Mapping[str, RowCounts]) -> FileCounts:
    """Return the counts of a file of a refused batch.

    No row of it counts as valid or as a duplicate.
    """
    rows = counts.get(file.uri, RowCounts(True, 0, 0))
    return FileCounts(rows.read, 0, 0, rows.refused)


def _totals(results: Sequence[FileResult], counts: Mapping[str, RowCounts]) -> dict[str, int]:
    """Return the summed counts of all files; those of users and items have the prefix `profile_`."""
    totals: dict[str, int] = {}
    for file, file_counts, _ in results:
        prefix = "" if file.uri not in counts or counts[file.uri].is_plays else "profile_"
        for name, number in (file_counts._asdict() if file_counts is not None else {}).items():
            totals[f"{prefix}{name}"] = totals.get(f"{prefix}{name}", 0) + number
    return totals
