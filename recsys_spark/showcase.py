"""What a person sees at the end of a pipeline: where things are, and neighbours of well-known items by name."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window
from rich.table import Table

from recsys_spark.job import JobRun
from recsys_spark.logs import table_console

__all__ = ["neighbours_by_name", "show"]

WELL_KNOWN_ITEMS = 10
NEIGHBOURS = 5


def show(run: JobRun) -> None:
    """Prints the places of the tables and the nearest neighbours of the most played items."""
    rows = neighbours_by_name(run).collect()
    if rows:
        table = Table("item", "users", "most similar", title="Nearest neighbours of the most played items")
        for row in rows:
            table.add_row(row["name"], str(row["users"]), " · ".join(row["similar"]))
        table_console(140).print(table)
    for name in ("plays", "item_similarity", "recommendations", "models", "job_runs"):
        print(f"{name:16} {run.tables.address(name)}")


def neighbours_by_name(run: JobRun) -> DataFrame:
    """name, users, similar ARRAY<STRING>: a handful of rows, the most played items first."""
    tables = run.tables
    serving = tables.read("models").where(F.array_contains("serves", "item_similarity"))
    similar = tables.read("item_similarity").join(serving.select("model_version"), on="model_version", how="left_semi")
    counted = tables.read("interactions").groupBy("item_idx").agg(F.count(F.lit(1)).alias("users"))
    known = counted.orderBy(F.desc("users"), "item_idx").limit(WELL_KNOWN_ITEMS)
    names = tables.read("items").select("item_id", F.coalesce("name", "item_id").alias("name"))
    known = known.join(tables.read("item_index"), on="item_idx", how="inner").join(names, on="item_id", how="left")
    others = names.select(F.col("item_id").alias("similar_item_id"), F.col("name").alias("similar_name"))
    nearest = (
        known.join(similar.where(F.col("position") <= NEIGHBOURS), on="item_id", how="inner")
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
