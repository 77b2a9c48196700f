"""What a person sees at the end of a pipeline: where things are, and neighbours of well-known items by name."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window
from rich.table import Table

from recsys_spark.core.logs import table_console
from recsys_spark.recommend.names import users_per_item
from recsys_spark.runtime.job import JobRun

__all__ = ["neighbours_by_name", "show"]

WELL_KNOWN_ITEMS = 10
NEIGHBOURS = 5


def show(run: JobRun) -> None:
    """Prints the nearest neighbours of the most played items, predicted genders, and the places of the tables."""
    rows = neighbours_by_name(run).collect()
    if rows:
        table = Table("item", "users", "most similar", title="Nearest neighbours of the most played items")
        for row in rows:
            table.add_row(row["name"], str(row["users"]), " · ".join(row["similar"]))
        table_console(140).print(table)
    _show_genders(run)
    for name in ("plays", "item_similarity", "recommendations", "gender_predictions", "models", "job_runs"):
        if not run.tables.exists(name):
            continue
        print(f"{name:18} {run.tables.address(name)}")


def _show_genders(run: JobRun) -> None:
    """Of how many users a gender is guessed, and how sure the guesses are."""
    if not run.tables.exists("gender_predictions"):
        return
    serving = run.tables.read("models").where(F.array_contains("serves", "gender_predictions"))
    rows = run.tables.read("gender_predictions").join(serving.select("model_version"), on="model_version", how="inner")
    guessed = rows.groupBy(F.coalesce("gender", F.lit("unsure")).alias("gender"))
    counts = guessed.agg(F.count(F.lit(1)).alias("users"), F.mean("probability").alias("sure")).orderBy("gender")
    table = Table("gender", "users", "mean probability", title="Predicted for users who state no gender")
    for row in counts.collect():
        table.add_row(row["gender"], str(row["users"]), f"{row['sure']:.2f}")
    if table.rows:
        table_console(140).print(table)


def neighbours_by_name(run: JobRun) -> DataFrame:
    """name, users, similar ARRAY<STRING>: a handful of rows, the most played items first."""
    tables = run.tables
    serving = tables.read("models").where(F.array_contains("serves", "item_similarity"))
    similar = tables.read("item_similarity").join(serving.select("model_version"), on="model_version", how="left_semi")
    known = users_per_item(run.tables).orderBy(F.desc("users"), "item_idx").limit(WELL_KNOWN_ITEMS)
    names = tables.read("items").select("item_id", F.coalesce("name", "item_id").alias("name"))
    known = known.join(names, on="item_id", how="left")
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
