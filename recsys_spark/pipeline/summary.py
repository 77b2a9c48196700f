"""Summary of a pipeline: similar items by name, predicted genders, and table locations."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window
from rich.table import Table

from recsys_spark.core.logs import table_console
from recsys_spark.recommend.names import users_per_item
from recsys_spark.storage.tables import Tables

__all__ = ["neighbours_by_name", "print_summary"]

POPULAR_ITEMS = 10
NEIGHBOURS = 5


def print_summary(tables: Tables) -> None:
    """Print the nearest neighbours of popular items, predicted genders, and table locations."""
    rows = neighbours_by_name(tables).collect()
    if rows:
        table = Table("item", "users", "most similar", title="Nearest neighbours of the most played items")
        for row in rows:
            table.add_row(row["name"], str(row["users"]), " · ".join(row["similar"]))
        table_console(140).print(table)
    _print_genders(tables)
    print("Tables:")
    for name in ("plays", "item_similarity", "recommendations", "gender_predictions", "models", "job_runs"):
        if tables.exists(name):
            print(f"{name:18} {tables.address(name)}")


def _print_genders(tables: Tables) -> None:
    """Print the number of users and the mean probability of each predicted gender."""
    if not tables.exists("gender_predictions"):
        return
    serving = tables.read("models").where(F.array_contains("serves", "gender_predictions"))
    rows = tables.read("gender_predictions").join(serving.select("model_version"), on="model_version", how="inner")
    predicted = rows.groupBy(F.coalesce("gender", F.lit("unsure")).alias("gender"))
    counts = predicted.agg(F.count(F.lit(1)).alias("users"), F.mean("probability").alias("mean")).orderBy("gender")
    table = Table("gender", "users", "mean probability", title="Predicted gender of users who state none")
    for row in counts.collect():
        table.add_row(row["gender"], str(row["users"]), f"{row['mean']:.2f}")
    if table.rows:
        table_console(140).print(table)


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
