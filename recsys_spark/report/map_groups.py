"""Groups that colour a map: values of an item attribute, or clusters of item vectors."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["COLOURED_GROUPS", "Groups", "group_by_clusters", "group_by_values"]

MAX_GROUPS = 20
# The largest groups have colours that a reader can distinguish (COLOURS in data.js); all others share one.
COLOURED_GROUPS = 8
OTHER = "other"
MAX_NAME_LENGTH = 60


@dataclass(frozen=True)
class Groups:
    """Named groups of items.

    `names` come with the largest group first. `item_groups` holds the positions of each item's groups in `names`;
    the first of them gives the item its colour.
    """

    title: str
    names: tuple[str, ...]
    item_groups: tuple[tuple[int, ...], ...]

    @property
    def sizes(self) -> list[int]:
        """Return the number of items in each group."""
        counts = Counter(place for places in self.item_groups for place in places)
        return [counts[place] for place in range(len(self.names))]


def group_by_values(title: str, texts: Sequence[str | None]) -> Groups:
    """Group items by the values that their texts list.

    Values are separated by `|`, comma or semicolon; the 20 most frequent values are groups. An item of several groups
    takes the colour of the smallest coloured one, which is the most specific. An item of no group belongs to `other`.
    """
    values = [_values(text) for text in texts]
    counts = Counter(value for several in values for value in several)
    kept = sorted(counts, key=lambda value: (-counts[value], value))[:MAX_GROUPS]
    place_of = {value: place for place, value in enumerate(kept)}
    found = [
        sorted((place_of[value] for value in several if value in place_of), key=_colour_order) for several in values
    ]
    names = kept if all(found) else [*kept, OTHER]
    return Groups(title, tuple(names), tuple(tuple(places) or (len(kept),) for places in found))


def group_by_clusters(clusters: Iterable[int], names: Sequence[str]) -> Groups:
    """Group items by cluster; `clusters` and `names` are (n,).

    Each group is named after its first item.
    """
    numbers = list(clusters)
    first: dict[int, str] = {}
    for number, name in zip(numbers, names, strict=True):
        first.setdefault(number, name)
    counts = Counter(numbers)
    order = sorted(counts, key=lambda number: (-counts[number], number))
    place_of = {number: place for place, number in enumerate(order)}
    titles = tuple(f"around {first[number][:MAX_NAME_LENGTH]}" for number in order)
    return Groups("clusters", titles, tuple((place_of[number],) for number in numbers))


def _colour_order(place: int) -> tuple[bool, int]:
    """Return the key that sorts coloured groups first, and smaller groups before larger ones."""
    return place >= COLOURED_GROUPS, -place


def _values(text: str | None) -> list[str]:
    parts = (part.strip()[:MAX_NAME_LENGTH] for part in re.split(r"[|,;]", text or ""))
    return sorted({part for part in parts if part})
