"""Result of a search for an item by id or name; it needs no Spark."""

from dataclasses import dataclass

__all__ = ["CANDIDATES", "SUGGESTIONS", "ItemMatch"]

SUGGESTIONS = 3
# Items of one name that are listed.
CANDIDATES = 10


@dataclass(frozen=True)
class ItemMatch:
    """The item that a text names, by id or by name.

    `item_idx` is None where there is no such item; `suggestions` then holds the nearest names. `others` counts further
    items of the same name, and `candidates` has (item_id, name) of the first of all items of that name.
    """

    asked: str
    item_idx: int | None
    others: int = 0
    candidates: tuple[tuple[str, str], ...] = ()
    suggestions: tuple[str, ...] = ()
