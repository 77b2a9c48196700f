"""Output of the quick answers: a table for people, JSON lines for programs."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["print_json", "print_rows"]

# Width of tables in files and pipes.
WIDTH = 160


def print_rows(title: str, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    """Print a table with these columns of the rows."""
    table = Table(title=title, title_justify="left")
    for name in columns:
        table.add_column(
            name, overflow="fold", justify="right" if name in ("position", "similarity", "score") else "left"
        )
    for row in rows:
        table.add_row(*(_text(row[name]) for name in columns))
    # Brackets in names are not markup.
    Console(width=None if sys.stdout.isatty() else WIDTH, markup=False, highlight=False).print(table)


def print_json(rows: Sequence[dict[str, Any]]) -> None:
    """Print one JSON object a row; ASCII only, so that every encoding of stdout can print them."""
    for row in rows:
        print(json.dumps(row))


def _text(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
