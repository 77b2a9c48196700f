"""Items by id or name, and the ids of users and items behind their indexes."""

import logging
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.core.logs import plain_console
from recsys_spark.recommend.item_match import CANDIDATES, SUGGESTIONS, ItemMatch
from recsys_spark.storage.tables import Tables

__all__ = [
    "item_names",
    "match_items",
    "resolve_items",
    "users_per_item",
    "with_item_ids",
    "with_user_ids",
]

log = logging.getLogger(__name__)

# Similar names cost a comparison with each name of the catalogue.
MOST_SUGGESTED_FOR = 20


def match_items(tables: Tables, asked: Sequence[str]) -> list[ItemMatch]:
    """Return the item of each text, once a text, in the order given.

    A text is an item_id, or a name in any case and spacing. Of several items of one name the one with the smallest
    item_idx is taken. The driver gets at most CANDIDATES rows a text, and suggestions for the first MOST_SUGGESTED_FOR
    texts without an item.
    """
    texts = [text for text in dict.fromkeys(asked) if text.strip()]
    if not texts:
        return []
    catalogue = tables.read("items").join(tables.read("item_index"), on="item_id", how="inner")
    wanted = tables.spark.createDataFrame([(text,) for text in texts], "asked STRING")
    item = ("item_idx", "item_id", F.coalesce("name", "item_id").alias("name"))
    by_id = catalogue.select(F.col("item_id").alias("key"), *item, F.lit(0).alias("way"))
    by_name = catalogue.where("name IS NOT NULL").select(
        _normalised(F.col("name")).alias("key"), *item, F.lit(1).alias("way")
    )
    keys = wanted.select("asked", F.col("asked").alias("key"), F.lit(0).alias("way")).unionByName(
        wanted.select("asked", _normalised(F.col("asked")).alias("key"), F.lit(1).alias("way"))
    )
    found = by_id.unionByName(by_name).join(F.broadcast(keys), on=["key", "way"], how="inner")
    of_text, alike = Window.partitionBy("asked").orderBy("way", "item_idx"), Window.partitionBy("asked", "way")
    numbered = found.withColumns({"place": F.row_number().over(of_text), "alike": F.count(F.lit(1)).over(alike)})
    candidates: dict[str, list[Row]] = {}
    for row in numbered.where(F.col("place") <= CANDIDATES).orderBy("place").collect():
        candidates.setdefault(row["asked"], []).append(row)
    unmatched = [text for text in texts if text not in candidates]
    near = _nearest_names(tables, catalogue, unmatched[:MOST_SUGGESTED_FOR]) if unmatched else {}
    return [
        _match(text, candidates[text]) if text in candidates else ItemMatch(text, None, suggestions=near.get(text, ()))
        for text in texts
    ]


def _match(asked: str, candidates: Sequence[Row]) -> ItemMatch:
    """Return the match of the first candidate; an item_id names one item, whatever other items are called."""
    first = candidates[0]
    alike = tuple((row["item_id"], row["name"]) for row in candidates if row["way"] == first["way"])
    return ItemMatch(asked, int(first["item_idx"]), first["alike"] - 1, alike if len(alike) > 1 else ())


def resolve_items(tables: Tables, asked: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return the distinct item_idx of the texts, ascending, and the texts without an item.

    Logs a warning for each text without an item. Raises ConfigError where a text is the name of several items, after
    printing their ids, and MissingInputError, with the nearest names, when no text names an item.
    """
    matches = match_items(tables, asked)
    ambiguous = [match for match in matches if match.others]
    if ambiguous:
        _print_candidates(ambiguous)
        # The names that were given stay out of the message, as job_runs keeps it.
        raise ConfigError(
            "query.items (--items): a name is ambiguous, as several items have it: give the item_id in place of the"
            " name; the candidates are printed above"
        )
    unmatched = [match for match in matches if match.item_idx is None]
    for match in unmatched:
        log.warning("no item has the id or name %r; nearest names: %s", match.asked, ", ".join(match.suggestions))
    indexes = sorted({match.item_idx for match in matches if match.item_idx is not None})
    if not indexes:
        nearest = sorted({name for match in matches for name in match.suggestions})
        problem = "items has none of the given ids or names"
        raise MissingInputError(f"{problem}; nearest names: {', '.join(nearest)}", recorded=problem)
    return indexes, [match.asked for match in unmatched]


def _print_candidates(ambiguous: Sequence[ItemMatch]) -> None:
    console = plain_console()
    for match in ambiguous[:CANDIDATES]:
        console.print(f"ambiguous: {match.others + 1} items have the name {match.asked!r}:")
        for item_id, name in match.candidates:
            console.print(f"  {item_id}  {name}")
        if match.others >= len(match.candidates):
            console.print(f"  and {match.others + 1 - len(match.candidates)} more")


def users_per_item(tables: Tables) -> DataFrame:
    """Return (item_id STRING, item_idx INT, users BIGINT): the users who have played each item."""
    counted = tables.read("interactions").groupBy("item_idx").agg(F.count(F.lit(1)).alias("users"))
    index = tables.read("item_index").where("item_id IS NOT NULL")
    return index.join(counted, on="item_idx", how="inner").select("item_id", "item_idx", "users")


def item_names(tables: Tables, item_idx: Sequence[int]) -> dict[int, str]:
    """Return the names of a few items by item_idx; an item without a name has its id."""
    index = tables.read("item_index").where(F.col("item_idx").isin(list(item_idx)))
    rows = index.join(tables.read("items"), on="item_id", how="left").collect()
    return {row["item_idx"]: row["name"] or row["item_id"] for row in rows}


def with_item_ids(rows: DataFrame, item_index: DataFrame, *columns: str) -> DataFrame:
    """Replace each named `..._idx` column by the `..._id` column of the same items.

    Rows of forgotten items are dropped.
    """
    return _with_ids(rows, item_index, "item", columns)


def with_user_ids(rows: DataFrame, user_index: DataFrame) -> DataFrame:
    """Replace user_idx by user_id; rows of forgotten users are dropped."""
    return _with_ids(rows, user_index, "user", ("user_idx",))


def _with_ids(rows: DataFrame, index: DataFrame, side: str, columns: tuple[str, ...]) -> DataFrame:
    for column in columns:
        ids = index.where(F.col(f"{side}_id").isNotNull()).select(
            F.col(f"{side}_idx").alias(column), F.col(f"{side}_id").alias(column.replace("_idx", "_id"))
        )
        rows = rows.join(ids, on=column, how="inner").drop(column)
    return rows


def _normalised(text: Column) -> Column:
    """Return a text in lower case, trimmed, with single spaces."""
    return F.lower(F.regexp_replace(F.trim(text), r"\s+", " "))


def _nearest_names(tables: Tables, catalogue: DataFrame, texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the SUGGESTIONS names nearest to each text by edit distance.

    Names that contain the text come first.
    """
    wanted = tables.spark.createDataFrame([(text,) for text in texts], "asked STRING")
    name, word = F.lower("name"), F.lower(F.trim("asked"))
    distance = F.levenshtein(name, word) - F.when(F.contains(name, word), 1000).otherwise(0)
    pairs = catalogue.where("name IS NOT NULL").join(F.broadcast(wanted), how="cross").withColumn("distance", distance)
    order = Window.partitionBy("asked").orderBy("distance", "item_idx")
    rows = pairs.withColumn("place", F.row_number().over(order)).where(F.col("place") <= SUGGESTIONS).collect()
    near: dict[str, tuple[str, ...]] = {}
    for row in sorted(rows, key=lambda row: row["place"]):
        near[row["asked"]] = (*near.get(row["asked"], ()), row["name"])
    return near
