"""Recommendations for one list of items, named as people name them, printed at once.

A kind that makes vectors of histories answers as it would for a new listener. One that cannot answers with the items
nearest to the given ones, and where nothing is near with what most users play; the answer says which it is.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table

from recsys_spark.models.popularity import PopularityScorer
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import Scorer
from recsys_spark.recommend.cold_items import served_items
from recsys_spark.recommend.item_filters import allowed_items
from recsys_spark.recommend.names import known_numbers, names_of
from recsys_spark.recommend.recommendations import ListSettings, recommend_for_history
from recsys_spark.recommend.similarity import nearest_to_all
from recsys_spark.recommend.stored_model import StoredModel, popular_scorer
from recsys_spark.runtime.job import JobRun

__all__ = ["Answer", "Liked", "answer", "print_list"]

Source = Literal["model", "nearest", "popular"]
TITLES: dict[Source, str] = {
    "model": "what the model recommends to somebody who likes these items",
    "nearest": "the items nearest to these: the model makes nothing of a new listener's items",
    "popular": "what most users play: the model makes nothing of these items",
}


class Liked(NamedTuple):
    """The items that were given, (n,), and those that the model counts, (m,), with their confidence."""

    given: NDArray[np.int32]
    item_idx: NDArray[np.int32]
    confidence: NDArray[np.float32]


class Answer(NamedTuple):
    """Where a list comes from, and its items and scores, best first."""

    source: Source
    item_idx: NDArray[np.int32]
    score: NDArray[np.float32]


def print_list(run: JobRun, stored: StoredModel) -> None:
    """Prints what suits somebody who likes the given items, and which of them are not known.

    Raises MissingInputError, with the nearest names, when none of them is known.
    """
    known, unknown = known_numbers(run, run.config.query.items)
    items = served_items(run, stored)
    lists = ListSettings(run.config.recommendations.top_k, True, allowed_items(run))
    found = answer(items.scorer, items.vectors, lambda: popular_scorer(run), _liked(run, stored, known), lists)
    _print(run, found, unknown)
    run.count(items_known=len(known), items_unknown=len(unknown), recommended=found.item_idx.size)


def answer(
    scorer: Scorer, vectors: ItemMatrix | None, popular: Callable[[], Scorer], liked: Liked, lists: ListSettings
) -> Answer:
    """The first list that is not empty: the model's, the nearest items by `vectors` if there are any, the popular."""
    own = recommend_for_history(scorer, liked.item_idx, liked.confidence, lists)
    if own[0].size:
        return Answer("popular" if isinstance(scorer, PopularityScorer) else "model", *own)
    near = nearest_to_all(vectors, liked.given, lists.k, lists.allowed) if vectors is not None else own
    if near[0].size:
        return Answer("nearest", *near)
    ones = np.ones(liked.given.size, dtype=np.float32)
    return Answer("popular", *recommend_for_history(popular(), liked.given, ones, lists))


def _liked(run: JobRun, stored: StoredModel, known: list[int]) -> Liked:
    history = run.spark.createDataFrame(
        [(0, number, 1) for number in known], "user_idx INT, item_idx INT, play_count BIGINT"
    ).withColumn("rating", F.lit(None).cast("double"))
    weighted = stored.kind.with_confidence(history, stored.folder).where("confidence IS NOT NULL").collect()
    item_idx = np.array([row["item_idx"] for row in weighted], dtype=np.int32)
    confidence = np.array([row["confidence"] for row in weighted], dtype=np.float32)
    return Liked(np.array(known, dtype=np.int32), item_idx, confidence)


def _print(run: JobRun, found: Answer, unknown: list[str]) -> None:
    items = found.item_idx.tolist()
    names = names_of(run, items)
    table = Table("position", "item", "score")
    for position, (item, score) in enumerate(zip(items, found.score.tolist(), strict=True), start=1):
        table.add_row(str(position), names[item], f"{score:.4f}")
    # Names are other people's text: brackets in them are no markup.
    console = Console(soft_wrap=True, markup=False, highlight=False)
    if unknown:
        console.print(f"not known: {', '.join(unknown)}")
    console.print(f"{found.source}: {TITLES[found.source]}")
    console.print(table)
