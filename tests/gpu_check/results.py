"""Output of the GPU check: a JSON line for each measurement on stdout, and a table on stderr."""

import json
import sys
import time
from typing import Any

__all__ = ["Results"]


class Results:
    """Measurements of one check and the time that is left for it."""

    def __init__(self, minutes: float) -> None:
        self._ends = time.monotonic() + 60 * minutes
        self._begun = time.monotonic()
        self.lines: list[dict[str, Any]] = []

    @property
    def seconds_left(self) -> float:
        """Return the seconds until the end of the check."""
        return self._ends - time.monotonic()

    @property
    def failed(self) -> bool:
        """Return True if a measurement is outside its bounds."""
        return any(line.get("ok") is False for line in self.lines)

    def add(self, check: str, **values: Any) -> None:
        """Print a measurement."""
        rounded = {key: float(f"{value:.5g}") if isinstance(value, float) else value for key, value in values.items()}
        line = {"check": check, **rounded, "at_second": round(time.monotonic() - self._begun, 1)}
        self.lines.append(line)
        print(json.dumps(line), flush=True)

    def print_tables(self) -> None:
        """Print the measurements of each check as a table on stderr."""
        for check in dict.fromkeys(line["check"] for line in self.lines):
            lines = [line for line in self.lines if line["check"] == check]
            names = [name for name in dict.fromkeys(key for line in lines for key in line) if name != "at_second"]
            cells = [names, *([_text(line.get(name)) for name in names] for line in lines)]
            widths = [max(len(row[place]) for row in cells) for place in range(len(names))]
            for row in cells:
                text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
                print(text.rstrip(), file=sys.stderr)
            print(file=sys.stderr)


def _text(value: Any) -> str:
    return "-" if value is None else "yes" if value is True else "NO" if value is False else str(value)
