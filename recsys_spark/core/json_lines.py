"""Results of runs as JSON lines, and Markdown tables of them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["append_line", "markdown_table", "read_lines"]


def append_line(file: Path, line: Mapping[str, Any]) -> None:
    """Append a line to a file of JSON lines.

    An incomplete last line, left by a killed process, is ended first, so that the new line stays readable.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.exists() and not file.read_bytes().endswith(b"\n")
    with file.open("a", encoding="utf-8") as stream:
        stream.write("\n" * half + json.dumps(line, sort_keys=True) + "\n")


def read_lines(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines in order.

    Incomplete lines are skipped; a missing file has no lines.
    """
    if not file.exists():
        return
    for text in file.read_text(encoding="utf-8").split("\n")[:-1]:
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        if isinstance(line, dict):
            yield line


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
