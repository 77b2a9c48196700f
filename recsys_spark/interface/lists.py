"""Similar items and recommendations, read from the tables of the serving models."""

from dataclasses import dataclass
from typing import Any

from recsys_spark.core.errors import MissingInputError
from recsys_spark.interface.item_search import find_item, names_of
from recsys_spark.interface.serving import serving_model
from recsys_spark.storage.queries import Queries

__all__ = ["StoredList", "recommendations", "similar_items"]


@dataclass(frozen=True)
class StoredList:
    """A list of a serving model, best entry first.

    `subject` is the id of the item or user that it belongs to, `name` its name.
    """

    model_version: str
    subject: str
    name: str
    rows: list[dict[str, Any]]


def similar_items(tables: Queries, text: str, top: int) -> StoredList:
    """Return the items nearest to the item that a text names.

    Columns: position, similar_item, similar_item_id, similarity. Raises ConfigError where several items have the name,
    MissingInputError where there is no such item, no serving model, or no list of it.
    """
    model = serving_model(tables, "item_similarity")
    item_id, name = find_item(tables, text)
    rows = tables.query(
        "SELECT position, similar_item_id, similarity FROM {item_similarity}"
        f" WHERE model_version = {{version}} AND item_id = {{item}} ORDER BY position LIMIT {top:d}",
        version=model.version,
        item=item_id,
    )
    if not rows:
        raise MissingInputError(
            f"{model.version} has no neighbours of {name} ({item_id}), as it was not trained on this item: run"
            " run_pipeline if its plays are new"
        )
    return StoredList(model.version, item_id, name, _named(tables, rows, "similar_item"))


def recommendations(tables: Queries, user: str, top: int) -> StoredList:
    """Return the recommendations of a user.

    Columns: position, item, item_id, score, origin. Raises MissingInputError where there is no serving model, or no
    list of the user.
    """
    model = serving_model(tables, "recommendations")
    rows = tables.query(
        "SELECT position, item_id, score, origin FROM {recommendations}"
        f" WHERE model_version = {{version}} AND user_id = {{user}} ORDER BY position LIMIT {top:d}",
        version=model.version,
        user=user,
    )
    if not rows:
        # Ids of other users are personal data: none is suggested.
        raise MissingInputError(
            f"{model.version} has no recommendations of the user {user!r}: correct the id, or run"
            f" build_recommendations --model.version {model.version} if the user is new"
        )
    return StoredList(model.version, user, user, _named(tables, rows, "item"))


def _named(tables: Queries, rows: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    """Return the rows with the names of their items as a further column."""
    names = names_of(tables, [row[f"{column}_id"] for row in rows])
    return [{**row, column: names[row[f"{column}_id"]]} for row in rows]
