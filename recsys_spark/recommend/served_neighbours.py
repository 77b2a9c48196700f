"""Nearest items of the most played items, by name, from the serving version of item_similarity."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from recsys_spark.recommend.names import users_per_item
from recsys_spark.storage.tables import Tables

__all__ = ["neighbours_by_name"]

POPULAR_ITEMS = 10
NEIGHBOURS = 5


def neighbours_by_name(tables: Tables) -> DataFrame:
    """Return names of the nearest items of the ten most played items.

    Columns: name STRING, users BIGINT, similar ARRAY<STRING>; the most played item comes first.
    """
    serving = tables.read("models").where(F.array_contains("serves", "item_similarity"))
    similar = tables.read("item_similarity").join(serving.select("model_version"), on="model_version", how="left_semi")
    popular = users_per_item(tables).orderBy(F.desc("users"), "item_idx").limit(POPULAR_ITEMS)
    names = tables.read("items").select("item_id", F.coalesce("name", "item_id").alias("name"))
    popular = popular.join(names, on="item_id", how="left")
    others = names.select(F.col("item_id").alias("similar_item_id"), F.col("name").alias("similar_name"))
    nearest = (
        popular.join(similar.where(F.col("position") <= NEIGHBOURS), on="item_id", how="inner")
        .join(others, on="similar_item_id", how="left")
        .withColumn("pair", F.struct("position", "similar_name"))
        .groupBy("item_idx", "name", "users")
        .agg(F.array_sort(F.collect_list("pair")).alias("pairs"))
    )
    order = Window.orderBy(F.desc("users"), "item_idx")
    return (
        nearest.withColumn("place", F.row_number().over(order))
        .orderBy("place")
        .select("name", "users", F.transform("pairs", lambda pair: pair["similar_name"]).alias("similar"))
    )
