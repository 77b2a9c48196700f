"""Summary of a pipeline: similar items by name, predicted genders, and table locations."""

import shlex

from pyspark.sql import functions as F
from rich.table import Table

from recsys_spark.core.logs import table_console
from recsys_spark.recommend.served_neighbours import neighbours_by_name
from recsys_spark.storage.tables import Tables

__all__ = ["print_summary"]


def print_summary(tables: Tables, report: str | None = None) -> None:
    """Print the nearest neighbours of popular items, predicted genders, locations, and commands to try next.

    `report` is the path of the report, if one was written.
    """
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
    if report is not None:
        print(f"Report: {report}\nOpen it in a browser; it needs no network.")
    if rows:
        _print_commands(rows[0]["name"])


def _print_commands(name: str) -> None:
    """Print three commands that show more of the same tables."""
    item = shlex.quote(name)
    print("Try next, with the same --config or --tables.root:")
    print(f"  python jobs/build_recommendations.py --items {item}   # what else a fan of it may like")
    print("  python jobs/build_item_map.py   # all items on one map")
    print("  python jobs/publish_model.py --publish.rollback true   # serve the version before")


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
