"""Aggregation of plays to interactions, one row a pair of user and item.

Plays of kind events are summed. Totals and ratings replace each other: only the latest row of each (source, user,
item) counts. The play counts of several sources are summed. The result (`play_count`) is a fact; a model derives its
weight, the confidence, from it.
"""

from collections.abc import Collection
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

__all__ = ["SourceKind", "aggregate_plays", "filter_support", "source_kinds"]

# The latest row wins: by time of the play, then of the file, then by file name, then the larger value. Rows of a file
# have no order in Spark, so nothing finer exists.
RECENCY = "struct(played_at, file_modified_at, source_file, play_count, rating)"
RECENCY_TYPE = (
    "struct<played_at:timestamp,file_modified_at:timestamp,source_file:string,play_count:bigint,rating:double>"
)


class SourceKind(NamedTuple):
    """A source of plays and the kind of its rows: events, totals or ratings."""

    source: str
    kind: str


def source_kinds(plays: DataFrame) -> set[SourceKind]:
    """Return the sources and kinds of plays; the driver receives one row a source."""
    return {SourceKind(*row) for row in plays.select("source", "kind").distinct().collect()}


def aggregate_plays(plays: DataFrame, sources: Collection[SourceKind]) -> DataFrame:
    """Return one row a pair of user and item.

    Columns: user_id, item_id, play_count BIGINT, rating DOUBLE (the latest), last_played_at TIMESTAMP. `sources` has
    all sources and kinds of `plays`. Plays of one source, or of events alone, need a single grouping.
    """
    kinds, names = {source.kind for source in sources}, {source.source for source in sources}
    if kinds == {"events"}:
        return _as_pairs(_sum_events(plays))
    if "events" not in kinds and len(names) == 1:
        return _as_pairs(_latest_rows(plays))
    is_event = F.col("kind") == "events"
    by_source = _sum_events(plays.where(is_event)).unionByName(_latest_rows(plays.where(~is_event)))
    latest_rating = F.expr("max(latest) FILTER (WHERE latest.rating IS NOT NULL)").getField("rating")
    return by_source.groupBy("user_id", "item_id").agg(
        F.sum("play_count").alias("play_count"),
        latest_rating.alias("rating"),
        F.max("last_played_at").alias("last_played_at"),
    )


def _as_pairs(rows: DataFrame) -> DataFrame:
    return rows.select("user_id", "item_id", "play_count", F.col("latest.rating").alias("rating"), "last_played_at")


def _sum_events(events: DataFrame) -> DataFrame:
    """Sum events by user and item; `latest` is null.

    Sums need no order: events, the larger share of most logs, are aggregated by hashing alone.
    """
    return (
        events.groupBy("user_id", "item_id")
        .agg(F.sum("play_count").alias("play_count"), F.max("played_at").alias("last_played_at"))
        .withColumn("latest", F.lit(None).cast(RECENCY_TYPE))
    )


def _latest_rows(rows: DataFrame) -> DataFrame:
    """Return the latest row of each source, user and item as `latest`, with its play_count."""
    latest = rows.groupBy("source", "user_id", "item_id").agg(
        F.expr(f"max({RECENCY})").alias("latest"), F.max("played_at").alias("last_played_at")
    )
    play_count = F.col("latest.play_count").alias("play_count")
    return latest.select("user_id", "item_id", play_count, "last_played_at", "latest")


def filter_support(pairs: DataFrame, min_user_items: int, min_item_users: int) -> DataFrame:
    """Leave out users with few different items and items with few different users.

    Both counts are taken once, on all pairs: leaving out an item does not then exclude a user.
    """
    supported = pairs
    if min_user_items > 1:
        supported = supported.join(_supported(pairs, "user_id", min_user_items), on="user_id", how="left_semi")
    if min_item_users > 1:
        supported = supported.join(_supported(pairs, "item_id", min_item_users), on="item_id", how="left_semi")
    return supported


def _supported(pairs: DataFrame, key: str, minimum: int) -> DataFrame:
    return pairs.groupBy(key).count().where(F.col("count") >= minimum).select(key)
