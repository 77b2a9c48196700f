"""Where good values of a setting may lie: what a kind of model declares, and the search for settings draws from."""

from dataclasses import dataclass

__all__ = ["Choice", "Range", "SearchSpace"]


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, whole ones where both are; with `log`, each doubling is as likely as any other."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[str | bool | int, ...]


SearchSpace = dict[str, Range | Choice]
