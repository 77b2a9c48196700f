"""Lines of earlier runs, kept in a folder, and the Markdown table of the latest of each measure."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recsys_spark.benchmark.measure import Line
from recsys_spark.core.json_lines import add_line, markdown_table, read_lines

__all__ = ["keep"]

LINES, TABLE = "benchmark.jsonl", "benchmark.md"
HEADER = ("measure", "data", "reference", "ours, s", "reference, s", "ratio", "goal", "threads")


def keep(line: Line, folder: Path, order: Sequence[str]) -> Path:
    """Adds a line to those in `folder` and writes the table anew, in this order of measures; gives its file."""
    add_line(folder / LINES, line.as_dict())
    latest = {kept["measure"]: kept for kept in read_lines(folder / LINES)}
    table = folder / TABLE
    table.write_text(markdown_table(HEADER, [_cells(latest[name]) for name in order if name in latest]), "utf-8")
    return table


def _cells(line: dict[str, Any]) -> tuple[str, ...]:
    seconds = [f"{line[name]:.3g}" for name in ("ours_seconds", "reference_seconds")]
    ratio = f"{line['ratio']:.3g}"
    return (
        line["measure"],
        line["size"],
        line["reference"],
        *seconds,
        ratio,
        line["goal"],
        str(line.get("threads", "")),
    )
