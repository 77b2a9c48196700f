"""Lines of earlier runs, kept in a folder, and the Markdown table of the latest of each measure."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recsys_spark.benchmark.measure import Line

__all__ = ["keep"]

LINES, TABLE = "benchmark.jsonl", "benchmark.md"
HEADER = ("measure", "data", "reference", "ours, s", "reference, s", "ratio", "goal", "threads")


def keep(lines: Sequence[Line], folder: Path, order: Sequence[str]) -> Path:
    """Adds the lines to those in `folder` and writes the table anew, in this order of measures; gives its file."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LINES).open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(line.as_dict()) + "\n" for line in lines)
    table = folder / TABLE
    table.write_text(_markdown(_latest(folder / LINES), order), encoding="utf-8")
    return table


def _latest(file: Path) -> dict[str, dict[str, Any]]:
    """Measure -> its last line; half a line of a run that was killed is passed over."""
    found = {}
    for text in file.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        found[line["measure"]] = line
    return found


def _markdown(lines: dict[str, dict[str, Any]], order: Sequence[str]) -> str:
    rows = [HEADER, ("---",) * len(HEADER)]
    rows += [_cells(lines[name]) for name in order if name in lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


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
