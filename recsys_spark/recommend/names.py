"""From what people call items to the items: by id, or by name whatever its case and spacing."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from recsys_spark.core.errors import MissingInputError
from recsys_spark.runtime.job import JobRun

__all__ = ["Match", "known_numbers", "match_items", "names_of", "users_of_items"]

log = logging.getLogger(__name__)

SUGGESTIONS = 3
# Looking for near names costs a comparison with each name of the catalogue.
MOST_SUGGESTED_FOR = 20


@dataclass(frozen=True)
class Match:
    """What was asked for and the item that it is; None with the nearest names where there is none. `others` counts
    further items of the same name.
    """

    asked: str
    item_idx: int | None
    others: int = 0
    suggestions: tuple[str, ...] = ()


def match_items(run: JobRun, asked: Sequence[str]) -> list[Match]:
    """Finds items, each text once, in the order given; of several of one name, the one with the smallest number.

    A row for each text reaches the driver, and suggestions for the first MOST_SUGGESTED_FOR texts that are nothing.
    """
    texts = [text for text in dict.fromkeys(asked) if text.strip()]
    if not texts:
        return []
    names = run.tables.read("items").join(run.tables.read("item_index"), on="item_id", how="inner")
    wanted = run.spark.createDataFrame([(text,) for text in texts], "asked STRING")
    by_id = names.select(F.col("item_id").alias("key"), "item_idx", F.lit(0).alias("way"))
    by_name = names.where("name IS NOT NULL").select(
        _folded(F.col("name")).alias("key"), "item_idx", F.lit(1).alias("way")
    )
    keys = wanted.select("asked", F.col("asked").alias("key"), F.lit(0).alias("way")).unionByName(
        wanted.select("asked", _folded(F.col("asked")).alias("key"), F.lit(1).alias("way"))
    )
    found = by_id.unionByName(by_name).join(F.broadcast(keys), on=["key", "way"], how="inner")
    best = found.groupBy("asked").agg(
        F.min(F.struct("way", "item_idx")).alias("best"), F.count_distinct("item_idx").alias("items")
    )
    numbers = {row["asked"]: (int(row["best"]["item_idx"]), row["items"] - 1) for row in best.collect()}
    lacking = [text for text in texts if text not in numbers]
    near = _nearest(run, names, lacking[:MOST_SUGGESTED_FOR]) if lacking else {}
    return [
        Match(text, *numbers[text]) if text in numbers else Match(text, None, 0, near.get(text, ())) for text in texts
    ]


def known_numbers(run: JobRun, asked: Sequence[str]) -> tuple[list[int], list[str]]:
    """The numbers of the items that `asked` names, ascending, each once, and the texts that name none, with a warning.

    Raises MissingInputError, with the nearest names, when none of them is known.
    """
    matches = match_items(run, asked)
    unknown = [match for match in matches if match.item_idx is None]
    for match in unknown:
        log.warning("no item is called %r; nearest: %s", match.asked, ", ".join(match.suggestions))
    numbers = sorted({match.item_idx for match in matches if match.item_idx is not None})
    if not numbers:
        nearest = sorted({name for match in matches for name in match.suggestions})
        raise MissingInputError(f"none of these items is known; nearest names: {', '.join(nearest)}")
    return numbers, [match.asked for match in unknown]


def users_of_items(run: JobRun) -> DataFrame:
    """(item_id STRING, item_idx INT, users BIGINT): how many users have played each item."""
    counted = run.tables.read("interactions").groupBy("item_idx").agg(F.count(F.lit(1)).alias("users"))
    known = run.tables.read("item_index").where("item_id IS NOT NULL")
    return known.join(counted, on="item_idx", how="inner").select("item_id", "item_idx", "users")


def names_of(run: JobRun, item_idx: Sequence[int]) -> dict[int, str]:
    """The names of a few items; their ids where they have none."""
    numbered = run.tables.read("item_index").where(F.col("item_idx").isin(list(item_idx)))
    named = numbered.join(run.tables.read("items"), on="item_id", how="left").collect()
    return {row["item_idx"]: row["name"] or row["item_id"] for row in named}


def _folded(text: Column) -> Column:
    return F.lower(F.regexp_replace(F.trim(text), r"\s+", " "))


def _nearest(run: JobRun, names: DataFrame, texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The few names that need the fewest changes; a name that holds the words asked for comes first."""
    wanted = run.spark.createDataFrame([(text,) for text in texts], "asked STRING")
    name, word = F.lower("name"), F.lower(F.trim("asked"))
    distance = F.levenshtein(name, word) - F.when(F.contains(name, word), 1000).otherwise(0)
    pairs = names.where("name IS NOT NULL").join(F.broadcast(wanted), how="cross").withColumn("distance", distance)
    order = Window.partitionBy("asked").orderBy("distance", "item_idx")
    rows = pairs.withColumn("place", F.row_number().over(order)).where(F.col("place") <= SUGGESTIONS).collect()
    near: dict[str, tuple[str, ...]] = {}
    for row in sorted(rows, key=lambda row: row["place"]):
        near[row["asked"]] = (*near.get(row["asked"], ()), row["name"])
    return near
