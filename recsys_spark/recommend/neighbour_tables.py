"""Console tables of compared neighbours: lists side by side, and means over all items."""

from collections.abc import Sequence
from itertools import combinations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.table import Table

from recsys_spark.core.logs import table_console, text_table
from recsys_spark.recommend.neighbour_lists import overlaps

__all__ = ["show_agreement", "show_lists", "show_overlap"]

WIDTH = 160


def show_lists(lists: DataFrame, shown: DataFrame, items: DataFrame, versions: Sequence[str]) -> int:
    """Print the lists of the `shown` items (item_id, item_idx, users), and return their number.

    Names come from `items`. The driver gets a row for each neighbour of each shown item.
    """
    names = items.select("item_id", F.coalesce("name", "item_id").alias("name"))
    near = lists.join(F.broadcast(shown.select("item_id")), on="item_id", how="left_semi").persist()
    placed = near.select("model", "item_id", F.posexplode("neighbours").alias("place", "neighbour"))
    named = placed.join(names.withColumnRenamed("item_id", "neighbour"), on="neighbour", how="left")
    cells: dict[tuple[str, str], list[str]] = {}
    for row in named.orderBy("place").collect():
        cells.setdefault((row["item_id"], row["model"]), []).append(row["name"] or row["neighbour"])
    common = {(row["item_id"], row["first"], row["second"]): row["overlap"] for row in overlaps(near).collect()}
    near.unpersist()
    table = text_table(
        "item", "users", *versions, "in common", title="Nearest neighbours, side by side", show_lines=True
    )
    rows = shown.join(names, on="item_id", how="left").orderBy(F.desc("users"), "item_idx").collect()
    for row in rows:
        lines = ["\n".join(cells.get((row["item_id"], version), ["-"])) for version in versions]
        shares = [common.get((row["item_id"], min(pair), max(pair))) for pair in combinations(versions, 2)]
        in_common = "\n".join("-" if share is None else f"{share:.0%}" for share in shares)
        table.add_row(row["name"] or row["item_id"], str(row["users"]), *lines, in_common)
    table_console(WIDTH).print(table)
    return len(rows)


def show_overlap(lists: DataFrame, versions: Sequence[str], k: int) -> int:
    """Print the mean overlap of each pair of models.

    A pair is compared on the items that both models have lists of. Returns the largest number of these items. The
    driver gets a row a pair.
    """
    by_pair = overlaps(lists).groupBy("first", "second")
    means = by_pair.agg(F.mean("overlap").alias("mean"), F.count("item_id").alias("items")).collect()
    found = {(row["first"], row["second"]): row for row in means}
    table = Table("model", "model", f"overlap@{k}", "items", title="Neighbours in common, mean over all items")
    for pair in combinations(versions, 2):
        row = found.get((min(pair), max(pair)))
        table.add_row(*pair, *(("-", "0") if row is None else (f"{row['mean']:.4f}", str(row["items"]))))
    table_console(WIDTH).print(table)
    return max((row["items"] for row in means), default=0)


def show_agreement(measured: DataFrame, versions: Sequence[str], attribute: str, k: int) -> int:
    """Print the agreement of each model and of random lists.

    Returns the number of items measured. It is 0, and nothing is printed, where no item has a value of the attribute.
    The driver gets a row a model.
    """
    found = {row["model"]: row for row in measured.collect()}
    title = f"Share of the {k} nearest items with a common value of {attribute!r}"
    table = Table("model", f"agreement@{k}", "items", title=title)
    for model in (*versions, "random"):
        if model in found:
            table.add_row(model, f"{found[model]['agreement']:.4f}", str(found[model]["items"]))
    if table.row_count:
        table_console(WIDTH).print(table)
    return max((row["items"] for row in found.values()), default=0)
