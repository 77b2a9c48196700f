"""Recommendations for one list of items, named as people name them, printed at once."""

import logging

import numpy as np
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table

from recsys_spark.errors import MissingInputError
from recsys_spark.job import JobRun
from recsys_spark.outputs.item_filters import allowed_items
from recsys_spark.outputs.item_names import match_items, names_of
from recsys_spark.outputs.recommendations import ListSettings, recommend_for_history
from recsys_spark.outputs.stored_model import StoredModel

__all__ = ["print_list"]

log = logging.getLogger(__name__)


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
    names = names_of(run, items)
    table = Table("position", "item", "score")
    for position, (item, score) in enumerate(zip(items, scores, strict=True), start=1):
        table.add_row(str(position), names[item], f"{score:.4f}")
    Console(soft_wrap=True).print(table)
