"""Files of benchmark results: a line for each comparison, and a table of the latest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recsys_spark.benchmark.comparison import Comparison
from recsys_spark.core.json_lines import append_line, markdown_table, read_lines

__all__ = ["save_comparison"]

LINES, TABLE = "benchmark.jsonl", "benchmark.md"
HEADER = ("measure", "data", "reference", "ours, s", "reference, s", "ratio", "goal", "threads")


def save_comparison(comparison: Comparison, folder: Path, order: Sequence[str]) -> Path:
    """Append a comparison to the lines in `folder`, rewrite the table, and return its file.

    The table has the latest line of each measure, in this `order` of measures.
    """
    append_line(folder / LINES, comparison.as_dict())
    latest = {line["measure"]: line for line in read_lines(folder / LINES)}
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
