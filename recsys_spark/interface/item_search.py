"""Items by id or name, without Spark; the rules are those of `--items` of jobs."""

from collections.abc import Sequence
from typing import Any

from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.recommend.item_match import CANDIDATES, SUGGESTIONS, ItemMatch
from recsys_spark.storage.queries import Queries

__all__ = ["find_item", "match_titles", "names_of"]

# All items of a name are read, up to this number.
MOST_ALIKE = 1000


def find_item(tables: Queries, text: str) -> tuple[str, str]:
    """Return (item_id, name) of the item that a text names, by id or by name.

    Raises ConfigError with the ids where several items have the name, MissingInputError with the nearest names where no
    item has it.
    """
    found = _items_of(tables, text)
    if len(found) > 1:
        listed = [f"  {item['item_id']}  {item['name']}" for item in found[:CANDIDATES]]
        listed += [f"  and {len(found) - CANDIDATES} more"] if len(found) > CANDIDATES else []
        raise ConfigError(f"{len(found)} items have the name {text!r}: give the item_id instead of the name", *listed)
    if not found:
        near = _nearest_names(tables, text)
        nearest = f"; the nearest names are {', '.join(near)}" if near else ""
        raise MissingInputError(f"no item has the id or name {text!r}{nearest}")
    return found[0]["item_id"], found[0]["name"]


def match_titles(tables: Queries, texts: Sequence[str]) -> tuple[list[ItemMatch], dict[int, str]]:
    """Return the item of each text, and the names of the items by item_idx.

    Repeated texts count once. Of several items of one name the one with the smallest item_idx is taken.
    """
    matches, names = [], {}
    for text in dict.fromkeys(texts):
        found = _items_of(tables, text)
        index = "SELECT item_id, item_idx FROM {item_index} WHERE item_id IN {ids} ORDER BY item_idx"
        numbered = tables.query(index, ids=[item["item_id"] for item in found]) if found else []
        if not numbered:
            matches.append(ItemMatch(text, None, suggestions=tuple(_nearest_names(tables, text))))
            continue
        first = numbered[0]
        matches.append(ItemMatch(text, first["item_idx"], len(numbered) - 1))
        names[first["item_idx"]] = next(item["name"] for item in found if item["item_id"] == first["item_id"])
    return matches, names


def names_of(tables: Queries, item_ids: Sequence[str]) -> dict[str, str]:
    """Return the names of a few items by item_id; an item without a name has its id."""
    if not item_ids:
        return {}
    rows = tables.query("SELECT item_id, name FROM {items} WHERE item_id IN {ids}", ids=list(item_ids))
    return {item: item for item in item_ids} | {row["item_id"]: row["name"] or row["item_id"] for row in rows}


def _items_of(tables: Queries, text: str) -> list[dict[str, Any]]:
    """Return the item with this id, or all items with this name."""
    columns = "SELECT item_id, coalesce(name, item_id) AS name FROM {items}"
    by_id = tables.query(f"{columns} WHERE item_id = {{text}}", text=text)
    by_name = f"{columns} WHERE {tables.normalised_name} = {{text}} ORDER BY item_id LIMIT {MOST_ALIKE}"
    return by_id or tables.query(by_name, text=" ".join(text.lower().split()))


def _nearest_names(tables: Queries, text: str) -> list[str]:
    """Return the names nearest to a text by edit distance; names that contain the text come first."""
    names = "SELECT DISTINCT name FROM {items} WHERE name IS NOT NULL"
    order = "NOT contains(lower(name), {word}), levenshtein(lower(name), {word}), name"
    nearest = f"SELECT name FROM ({names}) AS named ORDER BY {order} LIMIT {SUGGESTIONS}"
    return [row["name"] for row in tables.query(nearest, word=text.strip().lower())]
