"""Section of a report: the distribution of activity over users and of popularity over items."""

from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.recommend.names import users_per_item
from recsys_spark.report.charts import Series, line_chart, short_number
from recsys_spark.report.page import Cell, Figure, Section, Table
from recsys_spark.storage.tables import Tables

__all__ = ["Totals", "activity_section"]

# Groups of equal width on a log axis, per factor of two: at most 31 times as many rows reach the driver.
PER_OCTAVE = 4
TOP_ITEMS = 10


class Totals(NamedTuple):
    """Numbers of users, items and pairs in interactions."""

    users: int
    items: int
    pairs: int


class _Group(NamedTuple):
    """Users or items with between `least` and twice as many pairs: how many, and their pairs together."""

    least: int
    members: int
    pairs: int


def activity_section(tables: Tables) -> tuple[Section, Totals]:
    """Return the section and the totals; the driver gets at most 31 * PER_OCTAVE rows a side, and TOP_ITEMS."""
    if not tables.exists("interactions"):
        return Section("activity", "Who plays how much", empty="build_interactions has not run yet."), Totals(0, 0, 0)
    interactions = tables.read("interactions")
    users, items = _groups(interactions, "user_idx"), _groups(interactions, "item_idx")
    totals = Totals(_members(users), _members(items), sum(group.pairs for group in users))
    figures = [*_tail("user", "items", users), *_tail("item", "users", items), *_top_items(tables)]
    return Section("activity", "Who plays how much", figures, "" if figures else "There are no interactions."), totals


def _members(groups: list[_Group]) -> int:
    return sum(group.members for group in groups)


def _groups(interactions: DataFrame, side: str) -> list[_Group]:
    """Return groups by number of pairs, smallest first."""
    counted = interactions.groupBy(side).agg(F.count(F.lit(1)).alias("pairs"))
    group = F.floor(F.log2("pairs") * PER_OCTAVE)
    rows = (
        counted.groupBy(group.alias("place"))
        .agg(F.min("pairs").alias("least"), F.count(F.lit(1)).alias("members"), F.sum("pairs").alias("pairs"))
        .orderBy("place")
        .collect()
    )
    return [_Group(row["least"], row["members"], row["pairs"]) for row in rows]


def _tail(side: str, other: str, groups: list[_Group]) -> list[Figure]:
    total, points = _members(groups), []
    left = total
    for group in groups:
        points.append((float(group.least), left / total))
        left -= group.members
    chart = line_chart(
        f"Share of {side}s with at least a number of {other}",
        f"{other} of each {side}",
        f"share of {side}s",
        [Series(f"{side}s", points)],
        "log",
        "log",
    )
    pairs = sum(group.pairs for group in groups)
    if chart is None or not pairs:
        return []
    share, members = _head(groups, pairs)
    most = "most active user" if side == "user" else "most played item"
    few = f"the {most} has" if members == 1 else f"the {short_number(members)} {most}s ({members / total:.1%}) have"
    sentence = f"The line shows the share of {side}s with at least so many {other}: {few} {share:.0%} of all pairs."
    return [Figure(f"{other.capitalize()} of each {side}", sentence, chart)]


def _head(groups: list[_Group], pairs: int) -> tuple[float, int]:
    """Return the share of pairs and the size of the most active tenth.

    Groups are taken whole, so the part may be larger than a tenth."""
    total, members, held = _members(groups), 0, 0
    for group in reversed(groups):
        members, held = members + group.members, held + group.pairs
        if members >= total / 10:
            break
    return held / pairs, members


def _top_items(tables: Tables) -> list[Figure]:
    names = tables.read("items").select("item_id", F.coalesce("name", "item_id").alias("name"))
    top = users_per_item(tables).orderBy(F.desc("users"), "item_idx").limit(TOP_ITEMS)
    rows = top.join(names, on="item_id", how="left").orderBy(F.desc("users"), "item_idx").collect()
    if not rows:
        return []
    most = rows[0]["users"]
    cells = [(row["name"] or row["item_id"], Cell(f"{row['users']:,}", row["users"] / most)) for row in rows]
    sentence = "Lists without personal data show these items to everybody."
    return [Figure("Most played items", sentence, table=Table(("item", "users"), cells), wide=True)]
