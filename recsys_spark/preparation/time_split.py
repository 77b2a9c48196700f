"""Splits by calendar time: training on plays before a moment, evaluation on new pairs after it.

Each part is aggregated from the plays of its own span. Rows of interactions are no basis for it: they sum plays over
the whole time, so that training data would contain plays after the cut.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.split import SplitSettings
from recsys_spark.core.errors import ConfigError
from recsys_spark.preparation.interactions import SourceKind, aggregate_plays, number_plays, source_kinds
from recsys_spark.preparation.support import k_core

__all__ = ["IndexedPlays", "split_by_time"]

# A cut by share lies on a border of this many equal spans.
SPANS = 4096
PAIR = ["user_idx", "item_idx"]


@dataclass(frozen=True)
class IndexedPlays:
    """Rows of plays, and the two indexes of their users and items."""

    plays: DataFrame
    user_index: DataFrame
    item_index: DataFrame

    @cached_property
    def sources(self) -> set[SourceKind]:
        """Return the sources and kinds of the plays; read once."""
        return source_kinds(self.plays)

    def pairs(self, span: Column) -> DataFrame:
        """Aggregate the plays of a span of time: user_idx, item_idx, play_count, rating, last_played_at."""
        numbered = number_plays(self.plays, self.user_index, self.item_index)
        return aggregate_plays(numbered.where(F.col("played_at").isNotNull() & span), self.sources)


def split_by_time(plays: IndexedPlays, settings: SplitSettings) -> DataFrame:
    """Assign each pair to a part by the time of its first play.

    Returns part STRING (train, validation, test) and the columns of interactions. A pair is in one part: items that a
    user has played before are no targets. min_rating applies to each part's own ratings, minimum support to training
    alone; users and items without training pairs stay in the other parts. Raises ConfigError without any times, and
    where the cuts leave no pairs to train on.
    """
    validation_from, test_from = _cuts(plays.plays, settings)
    moment = F.col("played_at")
    train = plays.pairs(moment < validation_from)
    later = {
        "validation": plays.pairs((moment >= validation_from) & (moment < test_from)),
        "test": plays.pairs(moment >= test_from),
    }
    before = train.select(*PAIR)
    parts = [_filtered(train, settings, "train", (settings.min_user_items, settings.min_item_users))]
    for part, pairs in later.items():
        parts.append(_filtered(pairs.join(before, on=PAIR, how="left_anti"), settings, part))
        before = before.unionByName(pairs.select(*PAIR))
    if parts[0].isEmpty():
        raise ConfigError(
            "no pairs before the cut by time are left to train on: set a later split.test_from, or lower "
            "split.min_rating, split.min_user_items or split.min_item_users"
        )
    together = parts[0]
    for rows in parts[1:]:
        together = together.unionByName(rows)
    return together


def _filtered(pairs: DataFrame, settings: SplitSettings, part: str, minimums: tuple[int, int] = (1, 1)) -> DataFrame:
    if settings.min_rating is not None:
        pairs = pairs.where(F.col("rating") >= settings.min_rating)
    return k_core(pairs, *minimums).withColumn("part", F.lit(part))


def _cuts(plays: DataFrame, settings: SplitSettings) -> tuple[Column, Column]:
    """Return the first moments of validation and of test as literals; the driver receives at most SPANS counts."""
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
    """Return the latest border (microseconds) with this share of the plays after it."""
    (span,) = timed.agg(F.min("time").alias("first"), F.max("time").alias("last")).collect()
    if span["first"] is None:
        raise ConfigError("no plays have a time to split by: choose another split.protocol, or ingest data with times")
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
    """Return microseconds since 1970; a moment without a zone is UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1_000_000)
