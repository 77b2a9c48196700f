"""The groups that colour a map: values of an attribute of the items, or clusters of their vectors."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Groups", "groups_of_clusters", "groups_of_values"]

# As many as colours that can be told apart.
MOST_GROUPS = 20
OTHER = "other"
LONGEST_NAME = 60


@dataclass(frozen=True)
class Groups:
    """`names`, the largest group first, and for each item its places in them, that which colours it first."""

    title: str
    names: tuple[str, ...]
    of_items: tuple[tuple[int, ...], ...]

    @property
    def sizes(self) -> list[int]:
        """Items of each group."""
        counts = Counter(place for places in self.of_items for place in places)
        return [counts[place] for place in range(len(self.names))]


def groups_of_values(title: str, texts: Sequence[str | None]) -> Groups:
    """By the values that each text lists, parted by `|`, comma or semicolon. The 20 most frequent ones are groups.

    An item of several groups is coloured by the smallest, which says most about it; one of none belongs to `other`.
    """
    values = [_values(text) for text in texts]
    counts = Counter(value for several in values for value in several)
    kept = sorted(counts, key=lambda value: (-counts[value], value))[:MOST_GROUPS]
    place_of = {value: place for place, value in enumerate(kept)}
    found = [sorted((place_of[value] for value in several if value in place_of), reverse=True) for several in values]
    names = kept if all(found) else [*kept, OTHER]
    return Groups(title, tuple(names), tuple(tuple(places) or (len(kept),) for places in found))


def groups_of_clusters(clusters: Iterable[int], names: Sequence[str]) -> Groups:
    """By cluster, each named after its first item, (n,) both; the largest first."""
    numbers = list(clusters)
    first: dict[int, str] = {}
    for number, name in zip(numbers, names, strict=True):
        first.setdefault(number, name)
    counts = Counter(numbers)
    order = sorted(counts, key=lambda number: (-counts[number], number))
    place_of = {number: place for place, number in enumerate(order)}
    titles = tuple(f"around {first[number][:LONGEST_NAME]}" for number in order)
    return Groups("clusters", titles, tuple((place_of[number],) for number in numbers))


def _values(text: str | None) -> list[str]:
    parts = (part.strip()[:LONGEST_NAME] for part in re.split(r"[|,;]", text or ""))
    return sorted({part for part in parts if part})
