"""Recommendations for one list of items, named as people name them, printed at once."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table

from recsys_spark.errors import MissingInputError
from recsys_spark.job import JobRun
from recsys_spark.outputs.item_filters import allowed_items
from recsys_spark.outputs.recommendations import ListSettings, recommend_for_history
from recsys_spark.outputs.stored_model import StoredModel

__all__ = ["Match", "match_items", "print_list"]

log = logging.getLogger(__name__)

SUGGESTIONS = 3


@dataclass(frozen=True)
class Match:
    """What was asked for and the item that it is; None with the nearest names where there is none."""

    asked: str
    item_idx: int | None
    suggestions: tuple[str, ...] = ()


def match_items(run: JobRun, asked: Sequence[str]) -> list[Match]:
    """Finds items by id, or by name whatever its case and spacing; of several, the one with the smallest number.

    Only rows that match, and a few suggestions for each name that does not, reach the driver.
    """
    names = run.tables.read("items").join(run.tables.read("item_index"), on="item_id", how="inner")
    wanted = run.spark.createDataFrame([(name,) for name in dict.fromkeys(asked)], "asked STRING")
    same = (F.col("item_id") == F.col("asked")) | (_folded("name") == _folded("asked"))
    found = names.join(F.broadcast(wanted), on=same, how="inner").groupBy("asked").agg(F.min("item_idx"))
    numbers = {row[0]: int(row[1]) for row in found.collect()}
    return [
        Match(name, numbers[name]) if name in numbers else Match(name, None, _nearest(names, name))
        for name in dict.fromkeys(asked)
    ]


def print_list(run: JobRun, stored: StoredModel) -> None:
    """Prints what the model recommends to somebody who likes the given items.

    Raises MissingInputError, with the nearest names, when none of them is known.
    """
    matches = match_items(run, run.config.query.items)
    for match in matches:
        if match.item_idx is None:
            log.warning("no item is called %r; nearest: %s", match.asked, ", ".join(match.suggestions))
    known = sorted({match.item_idx for match in matches if match.item_idx is not None})
    if not known:
        nearest = sorted({name for match in matches for name in match.suggestions})
        raise MissingInputError(f"none of these items is known; nearest names: {', '.join(nearest)}")
    history = run.spark.createDataFrame(
        [(0, number, 1) for number in known], "user_idx INT, item_idx INT, play_count BIGINT"
    ).withColumn("rating", F.lit(None).cast("double"))
    weighted = stored.kind.with_confidence(history, stored.folder).where("confidence IS NOT NULL").collect()
    item_idx = np.array([row["item_idx"] for row in weighted], dtype=np.int32)
    confidence = np.array([row["confidence"] for row in weighted], dtype=np.float32)
    lists = ListSettings(run.config.recommendations.top_k, True, allowed_items(run))
    items, scores = recommend_for_history(stored.scorer, item_idx, confidence, lists)
    _print(run, items.tolist(), scores.tolist())
    run.count(items_known=len(known), items_unknown=len(matches) - len(known), recommended=len(items))


def _print(run: JobRun, items: list[int], scores: list[float]) -> None:
    numbered = run.tables.read("item_index").where(F.col("item_idx").isin(items))
    named = numbered.join(run.tables.read("items"), on="item_id", how="left").collect()
    names = {row["item_idx"]: row["name"] or row["item_id"] for row in named}
    table = Table("position", "item", "score")
    for position, (item, score) in enumerate(zip(items, scores, strict=True), start=1):
        table.add_row(str(position), names[item], f"{score:.4f}")
    Console(soft_wrap=True).print(table)


def _folded(column: str) -> Column:
    return F.lower(F.regexp_replace(F.trim(column), r"\s+", " "))


def _nearest(names: DataFrame, asked: str) -> tuple[str, ...]:
    """The few names that need the fewest changes; a name that holds the words asked for comes first."""
    word = F.lit(asked.lower().strip())
    distance = F.levenshtein(F.lower("name"), word) - F.when(F.contains(F.lower("name"), word), 1000).otherwise(0)
    rows = names.where(F.col("name").isNotNull()).orderBy(distance, "item_idx").limit(SUGGESTIONS).collect()
    return tuple(row["name"] for row in rows)
