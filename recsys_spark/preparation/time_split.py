"""A split by the calendar: trained on what was played before a moment, judged by what was new after it.

Parts are aggregated from plays of their own span. A row of interactions would not do: its plays are summed over the
whole time and its last one may lie behind the cut, so that training would know of the future.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.split import SplitSettings
from recsys_spark.core.errors import ConfigError
from recsys_spark.preparation.interactions import Origin, aggregate_plays, origins_of
from recsys_spark.preparation.support import k_core

__all__ = ["Plays", "split_by_time"]

# A cut that is not given lies on a border of this many equal spans.
SPANS = 4096
PAIR = ["user_idx", "item_idx"]


@dataclass(frozen=True)
class Plays:
    """The rows of plays, and the two indexes that number their users and items."""

    plays: DataFrame
    user_index: DataFrame
    item_index: DataFrame

    @cached_property
    def origins(self) -> set[Origin]:
        """Where the plays are from; read once."""
        return origins_of(self.plays)

    def pairs(self, span: Column) -> DataFrame:
        """user_idx, item_idx, play_count, rating, last_played_at of the plays of a span of time."""
        pairs = aggregate_plays(self.plays.where(F.col("played_at").isNotNull() & span), self.origins)
        return pairs.join(self.user_index, on="user_id").join(self.item_index, on="item_id").drop("user_id", "item_id")


def split_by_time(plays: Plays, settings: SplitSettings) -> DataFrame:
    """part STRING (train, validation, test) and the columns of interactions, each pair in one part.

    A pair belongs to the part in which it is played first: what a user has played before is neither to be found
    nor asked for. min_rating looks at each part's own ratings, minimum support at training alone; users and items
    that training does not know stay in the other parts. Raises ConfigError where there are no times, or where the
    cuts leave nothing to train on.
    """
    validation_from, test_from = _cuts(plays.plays, settings)
    moment = F.col("played_at")
    train = plays.pairs(moment < validation_from)
    later = {
        "validation": plays.pairs((moment >= validation_from) & (moment < test_from)),
        "test": plays.pairs(moment >= test_from),
    }
    before = train.select(*PAIR)
    parts = [_kept(train, settings, "train", (settings.min_user_items, settings.min_item_users))]
    for part, pairs in later.items():
        parts.append(_kept(pairs.join(before, on=PAIR, how="left_anti"), settings, part))
        before = before.unionByName(pairs.select(*PAIR))
    if parts[0].isEmpty():
        raise ConfigError(
            "nothing was played before the cut by time that split.min_rating and the minimum support leave to train "
            "on: set a later split.test_from, or lower them"
        )
    together = parts[0]
    for rows in parts[1:]:
        together = together.unionByName(rows)
    return together


def _kept(pairs: DataFrame, settings: SplitSettings, part: str, minimums: tuple[int, int] = (1, 1)) -> DataFrame:
    if settings.min_rating is not None:
        pairs = pairs.where(F.col("rating") >= settings.min_rating)
    return k_core(pairs, *minimums).withColumn("part", F.lit(part))


def _cuts(plays: DataFrame, settings: SplitSettings) -> tuple[Column, Column]:
    """The first moments of validation and of test, as literals; the driver takes SPANS counts at most."""
    time = F.unix_micros("played_at")
    before = timed = plays.where("played_at IS NOT NULL").select(time.alias("time"))
    if settings.test_from is None:
        test = _border(timed, settings.test_share)
        behind = settings.test_share
    else:
        test = _micros(settings.test_from)
        before, behind = timed.where(F.col("time") < test), 0.0
    share = settings.validation_share
    validation = min(test, _border(before, share + behind)) if share > 0 else test
    return F.timestamp_micros(F.lit(validation)), F.timestamp_micros(F.lit(test))


def _border(timed: DataFrame, share: float) -> int:
    """The latest border (microseconds) behind which lies at least this share of the plays."""
    (span,) = timed.agg(F.min("time").alias("first"), F.max("time").alias("last")).collect()
    if span["first"] is None:
        raise ConfigError("no play has a time to split by: choose another split.protocol, or ingest data with times")
    first, width = span["first"], (span["last"] - span["first"]) // SPANS + 1
    place = F.floor((F.col("time") - first) / width)
    counts = timed.groupBy(place.alias("place")).agg(F.count(F.lit(1)).alias("n")).orderBy(F.desc("place")).collect()
    wanted, seen = share * sum(row["n"] for row in counts), 0
    for row in counts:
        seen += row["n"]
        if seen >= wanted:
            return int(first + row["place"] * width)
    return int(first)


def _micros(moment: datetime) -> int:
    """Microseconds since 1970; a moment without a zone is UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1_000_000)
