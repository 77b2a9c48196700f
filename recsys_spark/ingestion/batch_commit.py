"""Carrying out a planned batch: parse, judge, append, merge, and only then call it ingested.

Every step may be repeated after a kill without doubling anything (see batches.py).
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.errors import DataQualityError
from recsys_spark.core.logs import step
from recsys_spark.ingestion.batches import Batch, FileCounts, Verdict, record, settings_hash
from recsys_spark.ingestion.copying import copy_files
from recsys_spark.ingestion.discovery import RawFile, changed_files
from recsys_spark.ingestion.events import deduplicate
from recsys_spark.ingestion.file_history import Ledger
from recsys_spark.ingestion.reader import Reader
from recsys_spark.ingestion.staging import ROLES, Staging, staged_batches
from recsys_spark.ingestion.user_item_changes import News, item_rows, news_of, user_rows
from recsys_spark.ingestion.validation import is_refused, reasons_of_refused
from recsys_spark.runtime.job import JobRun
from recsys_spark.storage.schemas import TABLES

__all__ = ["complete", "resume", "sweep"]

log = logging.getLogger(__name__)

APPLICATION = "recsys_spark.ingest_plays"


class _Rows(NamedTuple):
    """What was read from a file."""

    is_plays: bool
    read: int
    refused: int


def complete(run: JobRun, batch: Batch, reader: Reader) -> None:
    """Takes a started batch to its end.

    Raises DataQualityError when files cannot be read or too many rows are refused; `plays` is then as before.
    """
    staging = _staging(run, batch.batch_id)
    _copy(run, batch, reader, staging)
    counts = _count(staging)
    if any(rows.refused for rows in counts.values()):
        _append_quarantine(run, batch, staging)
    _judge(run, batch, staging, counts)
    # The copy tells all that is new of users and items: it is computed beside the append, and committed behind it.
    with _beside(_profiles(run, staging)) as news:
        with step("appending plays"):
            _append_plays(run, batch, staging)
        with step("merging users and items"):
            for future in news:
                future.result().commit(run.tables, batch.batch_id)
    _finish(run, batch, staging, counts)


@contextmanager
def _beside(computations: Iterable[Callable[[], News]]) -> Iterator[list[Future[News]]]:
    """Computes in threads meanwhile; a failure, or somebody who interrupts, does not wait for them."""
    threads = ThreadPoolExecutor()
    try:
        yield [threads.submit(compute) for compute in computations]
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _copy(run: JobRun, batch: Batch, reader: Reader, staging: Staging) -> None:
    """Makes the staged copy where there is none, or one of which files were lost."""
    if staging.is_complete and not staging.is_whole():
        log.warning("the copy of batch %d lost files, and is made anew", batch.batch_id)
        staging.remove()
    if not staging.is_complete:
        with step(f"reading {len(batch.files)} files"):
            copy_files(run, batch, reader, staging)


def resume(run: JobRun, batch: Batch, reader: Reader, files: Sequence[RawFile]) -> None:
    """Completes the plan of a killed run, or gives it up where its files or settings have changed meanwhile.

    Giving up is safe: without a complete staged copy nothing but quarantined rows can have been committed.
    """
    staged = _staging(run, batch.batch_id).is_complete
    unchanged = not changed_files(batch.files, files)
    if staged or (unchanged and batch.settings_hash == settings_hash(run.config.source)):
        log.info("completing batch %d, which run %s left unfinished", batch.batch_id, batch.run_id)
        complete(run, batch, reader)
    else:
        _abandon(run, batch)


def sweep(run: JobRun, ledger: Ledger) -> None:
    """Deletes the staged copies of batches that ended: a run killed after its last commit leaves one."""
    for batch_id in staged_batches(Path(run.config.files_root)) - ledger.started:
        _staging(run, batch_id).remove()


def _staging(run: JobRun, batch_id: int) -> Staging:
    return Staging(run.spark, Path(run.config.files_root), batch_id)


def _abandon(run: JobRun, batch: Batch) -> None:
    log.warning("batch %d is planned anew: its files or settings changed before it was read", batch.batch_id)
    run.tables.delete("plays_quarantine", F.col("run_id") == batch.run_id)
    # Last: what a kill leaves in between is given up again by the next run.
    record(run.spark, run.tables, batch, [Verdict(file, "refused", False) for file in batch.files])


def _count(staging: Staging) -> dict[str, _Rows]:
    """By file; as many as the plan lists. A file that holds no rows is not among them."""
    frames = [
        rows.groupBy("source_file").agg(
            F.lit(role == "plays").alias("is_plays"), F.count(F.lit(1)), F.count_if(is_refused())
        )
        for role, rows in staging.all_rows().items()
    ]
    return {file: _Rows(*counted) for file, *counted in reduce(DataFrame.union, frames).collect()}


def _judge(run: JobRun, batch: Batch, staging: Staging, counts: Mapping[str, _Rows]) -> None:
    read, refused = (sum(getattr(rows, name) for rows in counts.values()) for name in ("read", "refused"))
    limit = run.config.source.max_quarantine_share
    if not read or refused / read <= limit:
        return
    reasons = _common_reasons(staging)
    record(run.spark, run.tables, batch, [_verdict(file, "refused", counts, {}) for file in batch.files])
    staging.remove()
    run.count(read=read, quarantined=refused)
    raise DataQualityError(
        f"{refused} of {read} rows were quarantined ({refused / read:.1%}; source.max_quarantine_share is"
        f" {limit:.1%}): {reasons}. Nothing was ingested; see plays_quarantine where run_id is"
        f" {batch.run_id!r}, mend the files or the source.* settings, and run again"
    )


def _common_reasons(staging: Staging) -> str:
    """The most frequent reasons with their counts; there are a few dozen kinds of reason."""
    counted = _refused(staging).select(F.explode("reasons").alias("r")).groupBy("r").count()
    rows = counted.orderBy(F.desc("count"), "r").limit(5).collect()
    return ", ".join(f"{row['r']} {row['count']}" for row in rows)


def _refused(staging: Staging) -> DataFrame:
    """raw, reasons (ARRAY<STRING>) and source_file of the refused rows of every role."""
    frames = [rows.where(is_refused()) for rows in staging.all_rows().values()]
    return reduce(DataFrame.unionByName, [rows.select("raw", reasons_of_refused(), "source_file") for rows in frames])


def _append_quarantine(run: JobRun, batch: Batch, staging: Staging) -> None:
    rows = _stamped(_refused(staging), batch)
    run.tables.append("plays_quarantine", rows, _transaction(batch), batch_id=batch.batch_id)


def _append_plays(run: JobRun, batch: Batch, staging: Staging) -> None:
    staged = staging.rows("plays")
    if staged is None:
        return
    valid = staged.where(~is_refused())
    plays = deduplicate(valid, batch.source, staging.kind)
    plays = _stamped(plays, batch).withColumn("kind", F.lit(staging.kind))
    if batch.reprocess:
        _replace_plays(run, batch, plays)
        return
    if staging.kind == "events":
        plays = plays.join(_earlier_events(run, batch, valid), on="event_id", how="left_anti")
    run.tables.append("plays", plays, _transaction(batch), batch_id=batch.batch_id, appended_run_id=batch.run_id)


def _replace_plays(run: JobRun, batch: Batch, plays: DataFrame) -> None:
    """Puts plays in the place of those of their files; a play that stands there under another file stays as it is."""
    of_files = F.col("old.source_file").isin([file.uri for file in batch.files])
    replaced = of_files & (F.col("old.source") == batch.source) & (F.col("old.run_id") != batch.run_id)
    # Also what is equal, so that each row is counted as one of the run that last read it.
    update = {name: f"new.{name}" for name in TABLES["plays"].schema.names}
    with run.tables.lock("plays"):
        # An id without a time tells a file, which two sources may read.
        run.tables.merge("plays", plays, ("event_id", "source"), update, replaced, replaced, batch_id=batch.batch_id)


def _transaction(batch: Batch) -> tuple[str, int]:
    """A source each: a plan that waits while other sources go on has a smaller number than theirs, and is no repeat."""
    return f"{APPLICATION}/{batch.source}", batch.batch_id


def _earlier_events(run: JobRun, batch: Batch, plays: DataFrame) -> DataFrame:
    """Ids of this source's events from other batches within the batch's span of time: files outside are skipped."""
    # As numbers: a time that is collected passes through the machine's zone, where an hour of the year comes twice.
    micros = F.unix_micros("played_at")
    span = plays.agg(F.min(micros), F.max(micros), F.max(micros.isNull())).first()
    earlier = run.tables.read("plays").where((F.col("source") == batch.source) & (F.col("run_id") != batch.run_id))
    if span is not None and span[0] is not None and not span[2]:
        first, last = (F.timestamp_micros(F.lit(moment)) for moment in span[:2])
        earlier = earlier.where(F.col("played_at").between(first, last))
    return earlier.select("event_id")


def _profiles(run: JobRun, staging: Staging) -> Iterator[Callable[[], News]]:
    """What computes the news of users and of items, as far as the batch may have any."""
    valid = {role: rows.where(~is_refused()) for role, rows in staging.all_rows().items()}
    plays, users, items = (valid.get(role) for role in ROLES)
    if plays is not None or users is not None:
        yield news_of(run.tables, "users", user_rows(plays, users))
    if plays is not None or items is not None:
        yield news_of(run.tables, "items", item_rows(plays, items))


def _finish(run: JobRun, batch: Batch, staging: Staging, counts: Mapping[str, _Rows]) -> None:
    mine = run.tables.read("plays").where(F.col("run_id") == batch.run_id)
    kept = {file: number for file, number in mine.groupBy("source_file").count().collect()}
    verdicts = [_verdict(file, "ingested", counts, kept) for file in batch.files]
    record(run.spark, run.tables, batch, verdicts)
    _report(run, verdicts, counts)
    staging.remove()


def _verdict(file: RawFile, status: str, counts: Mapping[str, _Rows], kept: Mapping[str, int]) -> Verdict:
    """kept: plays by file. Profiles have no duplicates; of a batch that is refused nothing is valid, or a duplicate."""
    rows = counts.get(file.uri, _Rows(True, 0, 0))
    valid = rows.read - rows.refused
    if status == "refused":
        valid = 0
    here = kept.get(file.uri, 0) if rows.is_plays else valid
    return Verdict(file, status, counts=FileCounts(rows.read, here, valid - here, rows.refused))


def _report(run: JobRun, verdicts: Sequence[Verdict], counts: Mapping[str, _Rows]) -> None:
    for file, _, _, of_file in verdicts:
        prefix = "" if file.uri not in counts or counts[file.uri].is_plays else "profile_"
        if of_file is not None:
            run.count(**{f"{prefix}{name}": number for name, number in of_file._asdict().items()})


def _stamped(rows: DataFrame, batch: Batch) -> DataFrame:
    return (
        rows.withColumn("source", F.lit(batch.source))
        .withColumn("ingested_at", F.current_timestamp())
        .withColumn("run_id", F.lit(batch.run_id))
    )
