"""Recommendations for one list of items or one user, printed to the console.

A user gets the list that the table recommendations has or would have. For a list of items, a kind with fold-in
recommends as for a new listener with these items. For any other kind the nearest items by vectors are printed. Where
neither has a result, the most popular items are printed. The output states which of the three it is.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import functions as F
from rich.table import Table

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.logs import plain_console, text_table
from recsys_spark.models.popularity import PopularityScorer
from recsys_spark.models.versions import ModelVersion
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import Scorer
from recsys_spark.recommend.cold_items import load_catalogue
from recsys_spark.recommend.item_filters import allowed_items
from recsys_spark.recommend.names import item_names, resolve_items
from recsys_spark.recommend.popular_groups import popular_scorer
from recsys_spark.recommend.recommendations import ListSettings, recommend_for_history
from recsys_spark.recommend.similarity import nearest_to_all
from recsys_spark.recommend.trained_model import TrainedModel
from recsys_spark.recommend.user_lists import user_lists
from recsys_spark.storage.tables import Tables

__all__ = [
    "TITLES",
    "GivenItems",
    "ItemList",
    "NamedList",
    "best_list",
    "list_for_titles",
    "print_list",
    "print_user_list",
]

Source = Literal["model", "nearest", "popular"]
TITLES: dict[Source, str] = {
    "model": "recommendations of the model for a listener of these items",
    "nearest": "the items nearest to these: the model has no fold-in for a new listener's items",
    "popular": "the most popular items: the model cannot use the given items",
}


USER_TITLES = {
    "model": "recommendations of the model for the user",
    "fold_in": "recommendations for the user's items: the user was not in training",
    "content": "recommendations, some by attributes alone: the model has no vector of these items",
    "popular": "the most popular items: the model cannot use what it has of the user",
}


class GivenItems(NamedTuple):
    """The items given (n,), and those that the model can use (m,) with their confidence."""

    all_idx: NDArray[np.int32]
    item_idx: NDArray[np.int32]
    confidence: NDArray[np.float32]


class ItemList(NamedTuple):
    """A list of items, best first, with scores and its source."""

    source: Source
    item_idx: NDArray[np.int32]
    score: NDArray[np.float32]


class NamedList(NamedTuple):
    """A list for given items.

    It has the names of its items, the texts that name no item, and counts of the work.
    """

    items: ItemList
    names: dict[int, str]
    unmatched: list[str]
    counts: dict[str, int]


def print_list(tables: Tables, config: BaseConfig, model: TrainedModel) -> dict[str, int]:
    """Print recommendations for the items of `--items`, and return the counts.

    Texts that name no item are printed as well. Raises the errors of list_for_titles.
    """
    found = list_for_titles(tables, config, model, config.query.items)
    console = plain_console()
    if found.unmatched:
        console.print(f"not found: {', '.join(found.unmatched)}")
    console.print(f"{found.items.source}: {TITLES[found.items.source]}")
    scored = zip(found.items.item_idx.tolist(), found.items.score.tolist(), strict=True)
    console.print(_list_table([(found.names[item], score) for item, score in scored]))
    return found.counts


def list_for_titles(tables: Tables, config: BaseConfig, model: TrainedModel, titles: Sequence[str]) -> NamedList:
    """Return recommendations for the items that the titles name, by id or by name.

    Raises ConfigError when several items have one of the names, MissingInputError, with the nearest names, when no text
    names an item.
    """
    item_idx, unmatched = resolve_items(tables, titles)
    catalogue = load_catalogue(tables, config, model)
    allowed = allowed_items(tables, config.recommendations)
    settings = ListSettings(config.recommendations.top_k, True, allowed.mask)
    vectors = catalogue.item_vectors if model.kind.has_item_vectors else None
    given = _given_items(tables, model, item_idx)
    found = best_list(catalogue.scorer, vectors, lambda: popular_scorer(tables, config), given, settings)
    counts = {"items_known": len(item_idx), "items_unknown": len(unmatched), "recommended": found.item_idx.size}
    names = item_names(tables, found.item_idx.tolist())
    return NamedList(found, names, unmatched, {**catalogue.counts, **allowed.counts, **counts})


def print_user_list(tables: Tables, config: BaseConfig, version: ModelVersion, user_id: str) -> dict[str, int]:
    """Print the recommendations of one user, and return the counts.

    The driver gets recommendations.top_k rows. Raises MissingInputError for a user who is not in user_index.
    """
    lists = user_lists(tables, config, version, 1, user_id)
    names = tables.read("items").select("item_id", "name")
    rows = lists.rows.join(names, on="item_id", how="left").orderBy("position").collect()
    console = plain_console()
    for origin in dict.fromkeys(row["origin"] for row in rows):
        console.print(f"{origin}: {USER_TITLES[origin]}")
    if not rows:
        console.print("no item is left to recommend: the user has played all items that the settings allow")
    console.print(_list_table([(row["name"] or row["item_id"], row["score"]) for row in rows]))
    return {**lists.counts, "recommended": len(rows)}


def best_list(
    scorer: Scorer, vectors: ItemMatrix | None, popular: Callable[[], Scorer], given: GivenItems, settings: ListSettings
) -> ItemList:
    """Return the first list that is not empty: the model's, the nearest items by `vectors`, the popular items."""
    own = recommend_for_history(scorer, given.item_idx, given.confidence, settings)
    if own[0].size:
        return ItemList("popular" if isinstance(scorer, PopularityScorer) else "model", *own)
    near = nearest_to_all(vectors, given.all_idx, settings.k, settings.allowed) if vectors is not None else own
    if near[0].size:
        return ItemList("nearest", *near)
    ones = np.ones(given.all_idx.size, dtype=np.float32)
    return ItemList("popular", *recommend_for_history(popular(), given.all_idx, ones, settings))


def _given_items(tables: Tables, model: TrainedModel, given: list[int]) -> GivenItems:
    history = tables.spark.createDataFrame(
        [(0, number, 1) for number in given], "user_idx INT, item_idx INT, play_count BIGINT"
    ).withColumn("rating", F.lit(None).cast("double"))
    weighted = model.kind.with_confidence(history, model.folder).where("confidence IS NOT NULL").collect()
    item_idx = np.array([row["item_idx"] for row in weighted], dtype=np.int32)
    confidence = np.array([row["confidence"] for row in weighted], dtype=np.float32)
    return GivenItems(np.array(given, dtype=np.int32), item_idx, confidence)


def _list_table(entries: list[tuple[str, float]]) -> Table:
    table = text_table("position", "item", "score")
    for position, (name, score) in enumerate(entries, start=1):
        table.add_row(str(position), name, f"{score:.4f}")
    return table
