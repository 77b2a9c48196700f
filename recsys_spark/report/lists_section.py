"""Section of a report: similar items and recommendations by name, with the distributions of their scores."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from recsys_spark.recommend.served_neighbours import neighbours_by_name
from recsys_spark.report.charts import Bar, bar_chart
from recsys_spark.report.page import Cell, Figure, Section, Table
from recsys_spark.storage.tables import Tables

__all__ = ["lists_section"]

SHELVES = 3
SHELF = 8
HISTORY = 6
BINS = 20


def lists_section(tables: Tables) -> Section:
    """Return the section; the driver gets a few lists and BINS rows a distribution."""
    figures = []
    similar = _served(tables, "item_similarity")
    if similar is not None:
        figures += [*_neighbours(tables), *_histogram(similar, "similarity")]
    lists = _served(tables, "recommendations")
    if lists is not None:
        figures += [*_shelves(tables, lists), *_origins(lists), *_histogram(lists, "score")]
    return Section("lists", "Similar items and recommendations", figures, "" if figures else "No table is served yet.")


def _served(tables: Tables, name: str) -> DataFrame | None:
    """Return the rows of the serving version of a table; None without any."""
    if not tables.exists(name):
        return None
    serving = tables.read("models").where(F.array_contains("serves", name)).select("model_version")
    rows = tables.read(name).join(F.broadcast(serving), on="model_version", how="left_semi")
    return None if rows.isEmpty() else rows


def _neighbours(tables: Tables) -> list[Figure]:
    rows = [
        (row["name"], f"{row['users']:,}", " · ".join(row["similar"])) for row in neighbours_by_name(tables).collect()
    ]
    sentence = "Items that the same people play should stand side by side; strange neighbours want a look at the model."
    table = Table(("item", "users", "most similar, nearest first"), rows)
    return [Figure("Neighbours of the most played items", sentence, table=table, wide=True)] if rows else []


def _shelves(tables: Tables, lists: DataFrame) -> list[Figure]:
    """Return the shelves of SHELVES users who have a personal list."""
    counted = tables.read("interactions").groupBy("user_idx").agg(F.count(F.lit(1)).alias("items"))
    personal = lists.where("position = 1 AND origin = 'model'").select("user_id")
    users = (
        tables.read("user_index").join(personal, on="user_id", how="inner").join(counted, on="user_idx", how="inner")
    )
    # A hash spreads the choice over users of usual activity, and is the same in every run.
    chosen = users.where("items >= 5").orderBy(F.xxhash64("user_id"), "user_id").limit(SHELVES).persist()
    try:
        names = tables.read("items").select("item_id", F.coalesce("name", "item_id").alias("name"))
        shelves = _texts(lists.join(F.broadcast(chosen), on="user_id", how="inner"), names, F.col("position"), SHELF)
        pairs = tables.read("interactions").join(F.broadcast(chosen), on="user_idx", how="inner")
        played = pairs.join(tables.read("item_index"), on="item_idx", how="inner")
        histories = _texts(played, names, F.struct(-F.col("play_count"), "item_idx"), HISTORY)
        history = {row["user_id"]: row["names"] for row in histories.collect()}
        items = {row["user_id"]: row["items"] for row in chosen.collect()}
        found = sorted(shelves.collect(), key=lambda row: (-items[row["user_id"]], row["user_id"]))
    finally:
        chosen.unpersist()
    rows = [
        (
            f"user with {items[row['user_id']]} items",
            " · ".join(history.get(row["user_id"], [])),
            " · ".join(row["names"]),
        )
        for row in found
    ]
    sentence = "Three users, picked by a hash of their ids: a good list continues the taste of what they play."
    table = Table(("user", "plays most", "recommended, best first"), rows)
    return [Figure("Recommended shelves", sentence, table=table, wide=True)] if rows else []


def _texts(rows: DataFrame, names: DataFrame, order: Column, most: int) -> DataFrame:
    """Return (user_id, names ARRAY<STRING>): the first items of each user by an order."""
    first = Window.partitionBy("user_id").orderBy("nth")
    numbered = rows.select("user_id", "item_id", order.alias("nth"))
    kept = numbered.withColumn("place", F.row_number().over(first)).where(F.col("place") <= most)
    named = kept.join(names, on="item_id", how="left").withColumn(
        "pair", F.struct("place", F.coalesce("name", "item_id").alias("name"))
    )
    ordered = named.groupBy("user_id").agg(F.array_sort(F.collect_list("pair")).alias("pairs"))
    return ordered.select("user_id", F.transform("pairs", lambda pair: pair["name"]).alias("names"))


def _origins(lists: DataFrame) -> list[Figure]:
    rows = (
        lists.where("position = 1").groupBy("origin").count().orderBy(F.desc("count"), "origin").limit(BINS).collect()
    )
    total = sum(row["count"] for row in rows) or 1
    cells = [
        (row["origin"], Cell(f"{row['count']:,} ({row['count'] / total:.1%})", row["count"] / total)) for row in rows
    ]
    sentence = "Users with too little history get popular items of their group instead of a personal list."
    return [Figure("Where lists come from", sentence, table=Table(("origin of the first item", "users"), cells))]


def _histogram(rows: DataFrame, column: str) -> list[Figure]:
    """Return the distribution of a column over first positions, in BINS equal bins."""
    first = rows.where("position = 1").select(F.col(column).cast("double").alias("x"))
    ends = first.where(~F.isnan("x")).agg(F.min("x").alias("low"), F.max("x").alias("high")).collect()[0]
    low, high = ends["low"], ends["high"]
    if low is None:
        return []
    width = (high - low) / BINS or 1.0
    place = F.least(F.floor((F.col("x") - low) / width), F.lit(BINS - 1))
    counted = first.where(~F.isnan("x")).groupBy(place.alias("place")).count().collect()
    counts = {row["place"]: row["count"] for row in counted}
    bars = [Bar(f"{low + width * (n + 0.5):.3g}", [float(counts.get(n, 0))]) for n in range(BINS)]
    of = "items" if column == "similarity" else "lists"
    chart = bar_chart(f"Distribution of the {column} of first positions", f"{column} of position 1", of, bars, gap=0.06)
    sentence = (
        "Items far to the left have no near neighbour."
        if column == "similarity"
        else "Scores order the items of one list; compare them within a model version only."
    )
    return [Figure(f"{column.capitalize()} of first positions", sentence, chart)] if chart else []
