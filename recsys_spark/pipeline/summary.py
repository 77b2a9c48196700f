"""Summary of a pipeline: similar items by name, predicted genders, and table locations."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from pyspark.sql import functions as F
from rich.table import Table

from recsys_spark.core.logs import table_console, text_table
from recsys_spark.recommend.served_neighbours import neighbours_by_name
from recsys_spark.storage.tables import Tables

__all__ = ["next_commands", "print_summary"]


def print_summary(tables: Tables, root: str | None, report: str | None = None) -> None:
    """Print the nearest neighbours of popular items, predicted genders, locations, and commands to try next.

    `root` is the root of the tables, None in a catalog; `report` is the path of the report, if one was written.
    """
    rows = neighbours_by_name(tables).collect()
    if rows:
        table = text_table("item", "users", "most similar", title="Nearest neighbours of the most played items")
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
    if rows and root is not None:
        print("Try next:")
        for command, purpose in next_commands(rows[0]["name"], root).items():
            print(f"  {command}   # {purpose}")


def next_commands(name: str, root: str) -> dict[str, str]:
    """Return command -> purpose: what to try next with an item, as typed here."""
    recsys, item, flags = _recsys(), shlex.quote(name), f"--tables.root {shlex.quote(root)}"
    return {
        f"{recsys} similar {item} {flags}": "neighbours of an item, without Spark",
        f"{recsys} build-recommendations --items {item} {flags}": "what else a fan of it may like",
        f"{recsys} build-item-map {flags}": "all items on one map",
    }


def _recsys() -> str:
    """Return the command beside this Python; the environment may not be activated."""
    beside = Path(sys.executable).with_name("recsys")
    if not beside.exists() or shutil.which("recsys") == str(beside):
        return "recsys"
    return shlex.quote(os.path.relpath(beside) if beside.is_relative_to(Path.cwd()) else str(beside))


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
