"""Aggregation of plays to interactions, one row a pair of user and item.

Plays of kind events are summed. Totals and ratings replace each other: only the latest row of each (source, user,
item) counts. The play counts of several sources are summed. The result (`play_count`) is a fact; a model derives its
weight, the confidence, from it.
"""

from collections.abc import Collection
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

__all__ = ["SourceKind", "aggregate_plays", "filter_support", "number_plays", "source_kinds"]

PAIR = ["user_idx", "item_idx"]
# Larger indexes are shuffled. The driver and each executor hold a smaller one, with about 100 bytes an id.
BROADCAST_IDS = 1_000_000
# Pairs of several rows are sent to every executor up to this number.
BROADCAST_PAIRS = 1_000_000

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


def number_plays(plays: DataFrame, user_index: DataFrame, item_index: DataFrame) -> DataFrame:
    """Replace user_id and item_id by user_idx INT and item_idx INT.

    Plays of ids without a number are left out. Numbers come before any grouping, because a shuffle of two integers is
    a fraction of one of two texts. The driver gets an index of at most BROADCAST_IDS ids.
    """
    for name, index in (("user", user_index), ("item", item_index)):
        small = F.broadcast(index) if index.count() <= BROADCAST_IDS else index
        plays = plays.join(small, on=f"{name}_id", how="inner").drop(f"{name}_id")
    return plays


def aggregate_plays(plays: DataFrame, sources: Collection[SourceKind]) -> DataFrame:
    """Return one row a pair of user and item of numbered plays.

    Columns: user_idx, item_idx, play_count BIGINT, rating DOUBLE (the latest), last_played_at TIMESTAMP. `sources` has
    all sources and kinds of `plays`. Plays of one source, or of events alone, need a single grouping.
    """
    kinds, names = {source.kind for source in sources}, {source.source for source in sources}
    if kinds == {"events"}:
        return _as_pairs(_sum_events(plays))
    if "events" not in kinds and len(names) == 1:
        return _latest_of_one_source(plays)
    is_event = F.col("kind") == "events"
    by_source = _sum_events(plays.where(is_event)).unionByName(_latest_rows(plays.where(~is_event)))
    latest_rating = F.expr("max(latest) FILTER (WHERE latest.rating IS NOT NULL)").getField("rating")
    return by_source.groupBy(*PAIR).agg(
        F.sum("play_count").alias("play_count"),
        latest_rating.alias("rating"),
        F.max("last_played_at").alias("last_played_at"),
    )


def _as_pairs(rows: DataFrame) -> DataFrame:
    return rows.select(*PAIR, "play_count", F.col("latest.rating").alias("rating"), "last_played_at")


def _sum_events(events: DataFrame) -> DataFrame:
    """Sum events by user and item; `latest` is null.

    Sums need no order: events, the larger share of most logs, are aggregated by hashing alone.
    """
    return (
        events.groupBy(*PAIR)
        .agg(F.sum("play_count").alias("play_count"), F.max("played_at").alias("last_played_at"))
        .withColumn("latest", F.lit(None).cast(RECENCY_TYPE))
    )


def _latest_of_one_source(rows: DataFrame) -> DataFrame:
    """Return the latest row of each user and item; only pairs of several rows are sorted.

    Spark sorts to find the largest structure, but hashes to find the largest number. Of a single row, the largest
    numbers are those of the row.
    """
    counted = rows.groupBy(*PAIR).agg(
        F.count(F.lit(1)).alias("n"),
        F.max("play_count").alias("play_count"),
        F.max("rating").alias("rating"),
        F.max("played_at").alias("last_played_at"),
    )
    counted = counted.localCheckpoint()
    single, repeated = counted.where("n = 1").drop("n"), counted.where("n > 1").select(*PAIR)
    number = repeated.count()
    if number == 0:
        return single
    keys = F.broadcast(repeated) if number <= BROADCAST_PAIRS else repeated
    return single.unionByName(_as_pairs(_latest_rows(rows.join(keys, on=PAIR, how="left_semi"))))


def _latest_rows(rows: DataFrame) -> DataFrame:
    """Return the latest row of each source, user and item as `latest`, with its play_count."""
    latest = rows.groupBy("source", *PAIR).agg(
        F.expr(f"max({RECENCY})").alias("latest"), F.max("played_at").alias("last_played_at")
    )
    play_count = F.col("latest.play_count").alias("play_count")
    return latest.select(*PAIR, play_count, "last_played_at", "latest")


def filter_support(pairs: DataFrame, min_user_items: int, min_item_users: int) -> DataFrame:
    """Leave out users with few different items and items with few different users.

    Both counts are taken once, on all pairs: leaving out an item does not then exclude a user.
    """
    supported = pairs
    if min_user_items > 1:
        supported = supported.join(_supported(pairs, "user_idx", min_user_items), on="user_idx", how="left_semi")
    if min_item_users > 1:
        supported = supported.join(_supported(pairs, "item_idx", min_item_users), on="item_idx", how="left_semi")
    return supported


def _supported(pairs: DataFrame, key: str, minimum: int) -> DataFrame:
    return pairs.groupBy(key).count().where(F.col("count") >= minimum).select(key)
