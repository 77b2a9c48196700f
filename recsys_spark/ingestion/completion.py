"""Carrying out a planned batch: parse, judge, append, merge, and only then call it ingested.

Every step may be repeated after a kill without doubling anything (see batches.py).
"""

import logging
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.errors import DataQualityError
from recsys_spark.ingestion.batches import Batch, Verdict, record, settings_hash, started_batches
from recsys_spark.ingestion.copying import copy_files
from recsys_spark.ingestion.discovery import RawFile, changed_files
from recsys_spark.ingestion.events import deduplicate
from recsys_spark.ingestion.profiles import item_rows, merge_items, merge_users, user_rows
from recsys_spark.ingestion.reader import Reader
from recsys_spark.ingestion.staging import ROLES, Staging, staged_batches
from recsys_spark.ingestion.validation import is_refused, reasons_of_refused
from recsys_spark.job import JobRun
from recsys_spark.logs import step
from recsys_spark.schemas import TABLES

__all__ = ["complete", "resume", "sweep"]

log = logging.getLogger(__name__)

APPLICATION = "recsys_spark.ingest_plays"


class _Total(NamedTuple):
    """Rows of all files of a batch."""

    read: int
    refused: int

    @classmethod
    def of(cls, counts: DataFrame) -> "_Total":
        row = counts.agg(F.sum("rows_read"), F.sum("rows_quarantined")).first()
        return cls(0, 0) if row is None else cls(row[0] or 0, row[1] or 0)


def complete(run: JobRun, batch: Batch, reader: Reader) -> None:
    """Takes a started batch to its end.

    Raises DataQualityError when files cannot be read or too many rows are refused; `plays` is then as before.
    """
    staging = _staging(run, batch.batch_id)
    _copy(run, batch, reader, staging)
    counts = _count(staging)
    total = _Total.of(counts)
    if total.refused:
        _append_quarantine(run, batch, staging)
    _judge(run, batch, staging, counts, total)
    with step("appending plays"):
        _append_plays(run, batch, staging)
    with step("merging users and items"):
        _merge_profiles(run, batch, staging)
    _finish(run, batch, staging, counts)


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


def sweep(run: JobRun) -> None:
    """Deletes the staged copies of batches that ended: a run killed after its last commit leaves one."""
    staged = staged_batches(Path(run.config.files_root))
    if staged:
        for batch_id in staged - started_batches(run.tables):
            _staging(run, batch_id).remove()


def _staging(run: JobRun, batch_id: int) -> Staging:
    return Staging(run.spark, Path(run.config.files_root), batch_id)


def _abandon(run: JobRun, batch: Batch) -> None:
    log.warning("batch %d is planned anew: its files or settings changed before it was read", batch.batch_id)
    run.tables.delete("plays_quarantine", F.col("run_id") == batch.run_id)
    # Last: what a kill leaves in between is given up again by the next run.
    record(run.spark, run.tables, batch, [Verdict(file, "refused", False) for file in batch.files])


def _count(staging: Staging) -> DataFrame:
    """Rows read and quarantined by file, and whether it holds plays; one row a file."""
    frames = [
        rows.groupBy("source_file")
        .agg(F.count(F.lit(1)).alias("rows_read"), F.count_if(is_refused()).alias("rows_quarantined"))
        .withColumn("is_plays", F.lit(role == "plays"))
        for role, rows in staging.all_rows().items()
    ]
    return reduce(DataFrame.unionByName, frames).localCheckpoint()


def _judge(run: JobRun, batch: Batch, staging: Staging, counts: DataFrame, total: _Total) -> None:
    read, refused = total
    limit = run.config.source.max_quarantine_share
    if not read or refused / read <= limit:
        return
    zeros = counts.withColumn("rows_valid", F.lit(0)).withColumn("rows_duplicate", F.lit(0))
    reasons = _common_reasons(staging)
    record(run.spark, run.tables, batch, [Verdict(file, "refused") for file in batch.files], zeros)
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


def _merge_profiles(run: JobRun, batch: Batch, staging: Staging) -> None:
    valid = {role: rows.where(~is_refused()) for role, rows in staging.all_rows().items()}
    plays, users, items = (valid.get(role) for role in ROLES)
    if plays is not None or users is not None:
        merge_users(run.tables, user_rows(plays, users), batch.batch_id)
    if plays is not None or items is not None:
        merge_items(run.tables, item_rows(plays, items), batch.batch_id)


def _finish(run: JobRun, batch: Batch, staging: Staging, counts: DataFrame) -> None:
    kept = (
        run.tables.read("plays")
        .where(F.col("run_id") == batch.run_id)
        .groupBy("source_file")
        .agg(F.count(F.lit(1)).alias("kept"))
    )
    valid = F.col("rows_read") - F.col("rows_quarantined")
    complete_counts = (
        counts.join(kept, on="source_file", how="left")
        .withColumn("rows_valid", F.when(F.col("is_plays"), F.coalesce("kept", F.lit(0))).otherwise(valid))
        .withColumn("rows_duplicate", valid - F.col("rows_valid"))
        .drop("kept")
        .localCheckpoint()
    )
    verdicts = [Verdict(file, "ingested") for file in batch.files]
    record(run.spark, run.tables, batch, verdicts, complete_counts.drop("is_plays"))
    _report(run, complete_counts)
    staging.remove()


def _report(run: JobRun, counts: DataFrame) -> None:
    names = ("read", "valid", "duplicate", "quarantined")
    sums = [F.sum(f"rows_{name}").alias(name) for name in names]
    for row in counts.groupBy("is_plays").agg(*sums).collect():
        prefix = "" if row["is_plays"] else "profile_"
        run.count(**{f"{prefix}{name}": row[name] for name in names})


def _stamped(rows: DataFrame, batch: Batch) -> DataFrame:
    return (
        rows.withColumn("source", F.lit(batch.source))
        .withColumn("ingested_at", F.current_timestamp())
        .withColumn("run_id", F.lit(batch.run_id))
    )
