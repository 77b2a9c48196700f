"""Commit of a batch's plays: an append of new ones, or a replacement of those of reprocessed files."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.ingestion.batches import FileBatch, stamp
from recsys_spark.ingestion.events import deduplicate
from recsys_spark.ingestion.parsing import is_refused
from recsys_spark.ingestion.staging import Staging
from recsys_spark.storage.schemas import TABLES
from recsys_spark.storage.tables import Tables

__all__ = ["commit_plays"]


def commit_plays(tables: Tables, batch: FileBatch, staging: Staging) -> None:
    """Write the valid staged plays of a batch to `plays` in one commit, without duplicates."""
    staged = staging.rows("plays")
    if staged is None:
        return
    valid = staged.where(~is_refused())
    plays = deduplicate(valid, batch.source, staging.kind)
    plays = stamp(plays, batch).withColumn("kind", F.lit(staging.kind))
    if batch.reprocess:
        _replace_plays(tables, batch, plays)
        return
    if staging.kind == "events":
        plays = plays.join(_earlier_events(tables, batch, valid), on="event_id", how="left_anti")
    tables.append("plays", plays, batch.transaction, batch_id=batch.batch_id, appended_run_id=batch.run_id)


def _replace_plays(tables: Tables, batch: FileBatch, plays: DataFrame) -> None:
    """Replace the earlier plays of the batch's files.

    A play that the table holds under another file stays as it is.
    """
    # Joined, because a pattern may match every file that was ever read.
    files = F.broadcast(tables.spark.createDataFrame([(file.uri,) for file in batch.files], "source_file STRING"))
    # Equal rows are updated too, so that each row counts for the run that last read it.
    update = {name: f"new.{name}" for name in TABLES["plays"].schema.names}
    with tables.lock("plays"):
        earlier = tables.read("plays").where(F.col("source") == batch.source)
        elsewhere = earlier.join(files, on="source_file", how="left_anti").select("event_id")
        new = plays.join(elsewhere, on="event_id", how="left_anti")
        replaced = earlier.join(files, on="source_file", how="left_semi").where(F.col("run_id") != batch.run_id)
        gone = replaced.join(plays, on="event_id", how="left_anti")
        # The id of a play without a time is made of its file, which two sources may read: hence the source in the key.
        keys = ("event_id", "source")
        stale, arguments = "old.run_id <> :run_id", {"run_id": batch.run_id}
        tables.merge("plays", new, keys, update, stale, gone, arguments, batch_id=batch.batch_id)


def _earlier_events(tables: Tables, batch: FileBatch, plays: DataFrame) -> DataFrame:
    """Return the ids of this source's events from other batches.

    Only events within the span of time of `plays` are read, so that Delta skips files outside it.
    """
    # Microseconds: a collected timestamp passes through the machine's time zone, where one hour of the year is
    # ambiguous.
    micros = F.unix_micros("played_at")
    span = plays.agg(F.min(micros), F.max(micros), F.max(micros.isNull())).first()
    earlier = tables.read("plays").where((F.col("source") == batch.source) & (F.col("run_id") != batch.run_id))
    if span is not None and span[0] is not None and not span[2]:
        first, last = (F.timestamp_micros(F.lit(moment)) for moment in span[:2])
        earlier = earlier.where(F.col("played_at").between(first, last))
    return earlier.select("event_id")
