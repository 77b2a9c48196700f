"""What runs leave for documents: figures as JSON lines, which a run that was killed may have cut short, and tables."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["add_line", "markdown_table", "read_lines"]


def add_line(file: Path, line: Mapping[str, Any]) -> None:
    """Appends a line; half a line that stands there stays one of its own."""
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.exists() and not file.read_bytes().endswith(b"\n")
    with file.open("a", encoding="utf-8") as stream:
        stream.write("\n" * half + json.dumps(line, sort_keys=True) + "\n")


def read_lines(file: Path) -> Iterator[dict[str, Any]]:
    """The lines in order, but for halves; none where there is no file."""
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
    """A table as documents have it."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
