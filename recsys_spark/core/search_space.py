"""Search spaces of settings.

A kind of model declares the values of each setting that the search for settings may draw.
"""

from dataclasses import dataclass

__all__ = ["Choice", "Range", "SearchSpace", "search_space_of"]


@dataclass(frozen=True)
class Range:
    """Range of numbers from `low` to `high`.

    The numbers are integers where both bounds are. With `log` they are distributed uniformly in their logarithm.
    """

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """Choice of one of a few values."""

    values: tuple[str | bool | int, ...]


SearchSpace = dict[str, Range | Choice]


def search_space_of(settings: object) -> SearchSpace:
    """Return the search space of settings.

    It is `searched` where it depends on their values, else `search_space`, or empty.
    """
    space: SearchSpace = getattr(settings, "searched", getattr(settings, "search_space", {}))
    return space
