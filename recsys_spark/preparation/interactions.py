"""From plays to one row a pair of user and item.

Events add up. Of totals and ratings only the last statement of each (source, user, item) counts; sources
add up. The counted sum is a fact (`play_count`); what a model makes of it (its confidence) is the model's affair.
"""

from collections.abc import Collection
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

__all__ = ["Origin", "aggregate_plays", "filter_support", "origins_of"]

# Later statements win: by time of the play, then of the file, then by file name, then the larger value. Files have
# no line order in Spark, so nothing finer exists.
STATEMENT_ORDER = "struct(played_at, file_modified_at, source_file, play_count, rating)"


class Origin(NamedTuple):
    """Where plays are from, and what a row of them states."""

    source: str
    kind: str


def origins_of(plays: DataFrame) -> set[Origin]:
    """The origins of plays: as many as there are sources."""
    return {Origin(*row) for row in plays.select("source", "kind").distinct().collect()}


def aggregate_plays(plays: DataFrame, origins: Collection[Origin]) -> DataFrame:
    """user_id, item_id, play_count BIGINT, rating DOUBLE (the latest), last_played_at TIMESTAMP: a row a pair.

    `origins` has all that occur in `plays`: those of one source, or of events alone, are grouped once.
    """
    kinds, sources = {origin.kind for origin in origins}, {origin.source for origin in origins}
    if kinds == {"events"}:
        return _as_pairs(_sum_events(plays))
    if "events" not in kinds and len(sources) == 1:
        return _as_pairs(_last_statements(plays))
    is_event = F.col("kind") == "events"
    by_source = _sum_events(plays.where(is_event)).unionByName(_last_statements(plays.where(~is_event)))
    latest_rating = F.expr("max(rated) FILTER (WHERE rated.rating IS NOT NULL)").getField("rating")
    return by_source.groupBy("user_id", "item_id").agg(
        F.sum("play_count").alias("play_count"),
        latest_rating.alias("rating"),
        F.max("last_played_at").alias("last_played_at"),
    )


def _as_pairs(rows: DataFrame) -> DataFrame:
    return rows.select("user_id", "item_id", "play_count", F.col("rated.rating").alias("rating"), "last_played_at")


def _sum_events(events: DataFrame) -> DataFrame:
    """Sums need no order, so that this larger share of most logs is aggregated by hashing alone."""
    unrated = F.lit(None).cast(
        "struct<played_at:timestamp,file_modified_at:timestamp,source_file:string,play_count:bigint,rating:double>"
    )
    return (
        events.groupBy("user_id", "item_id")
        .agg(F.sum("play_count").alias("play_count"), F.max("played_at").alias("last_played_at"))
        .withColumn("rated", unrated)
    )


def _last_statements(statements: DataFrame) -> DataFrame:
    last = statements.groupBy("source", "user_id", "item_id").agg(
        F.expr(f"max({STATEMENT_ORDER})").alias("rated"), F.max("played_at").alias("last_played_at")
    )
    play_count = F.col("rated.play_count").alias("play_count")
    return last.select("user_id", "item_id", play_count, "last_played_at", "rated")


def filter_support(pairs: DataFrame, min_user_items: int, min_item_users: int) -> DataFrame:
    """Leaves out users with few different items and items with few different users.

    Both counts are taken once, on all pairs: leaving out an item does not then push out a user.
    """
    kept = pairs
    if min_user_items > 1:
        kept = kept.join(_supported(pairs, "user_id", min_user_items), on="user_id", how="left_semi")
    if min_item_users > 1:
        kept = kept.join(_supported(pairs, "item_id", min_item_users), on="item_id", how="left_semi")
    return kept


def _supported(pairs: DataFrame, key: str, minimum: int) -> DataFrame:
    return pairs.groupBy(key).count().where(F.col("count") >= minimum).select(key)
