"""Summary of a pipeline: similar items by name, predicted genders, and table locations."""

from pyspark.sql import functions as F
from rich.table import Table

from recsys_spark.core.logs import table_console
from recsys_spark.recommend.served_neighbours import neighbours_by_name
from recsys_spark.storage.tables import Tables

__all__ = ["print_summary"]


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
