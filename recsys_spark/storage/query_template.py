"""Queries as templates: names of tables and values are filled in, each engine in its own way."""

from collections.abc import Callable
from string import Formatter

from recsys_spark.storage.schemas import TABLES

__all__ = ["Value", "fill", "tables_in"]

Value = str | int | list[str]


def tables_in(template: str) -> list[str]:
    """Return the tables that a template names as `{table}`."""
    names = [name for _, name, _, _ in Formatter().parse(template) if name in TABLES]
    return list(dict.fromkeys(names))


def fill(
    template: str, values: dict[str, Value], address: Callable[[str], str], place: Callable[[str | int], str]
) -> str:
    """Return the SQL of a template.

    `address` gives the SQL of a table, `place` that of a value. A list becomes the entries of an IN, in parentheses.
    """
    filled = {
        name: f"({', '.join(map(place, value))})" if isinstance(value, list) else place(value)
        for name, value in values.items()
    }
    return template.format(**filled, **{name: address(name) for name in tables_in(template)})
