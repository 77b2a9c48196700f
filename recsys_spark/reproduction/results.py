"""Results of repeats, kept as JSON lines, and their table."""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev

from rich.table import Table

from recsys_spark import __version__
from recsys_spark.config.load import config_from
from recsys_spark.config.split import SplitSettings
from recsys_spark.core.json_lines import append_line, markdown_table, read_lines
from recsys_spark.reproduction.entry import Entry, Target

__all__ = ["Result", "Results", "key_of", "markdown", "table_rows", "terminal_table"]

HEADER = (
    "model",
    "data, protocol",
    "metric",
    "published",
    "to reach",
    "ours, mean ± standard deviation",
    "popularity",
    "repeats",
    "users",
    "training, s",
    "splits",
)


@dataclass(frozen=True)
class Result:
    """Result of one repeat of one entry.

    `values` and `popularity` map each metric to its value on test data, of the model and of the popularity baseline.
    `users` is the number of evaluated users, `seconds` the time of training.
    """

    key: str
    model: str
    data: str
    protocol: str
    kind: str
    repeat: int
    seed: int
    model_version: str
    split_id: str
    values: dict[str, float]
    popularity: dict[str, float]
    users: int
    seconds: float


def key_of(entry: Entry, repeat: int) -> str:
    """Return a hash of all settings of a repeat; other settings or defaults give another key."""
    config = config_from({"tables.root": "any", **entry.flags(repeat, "any")})
    settings = config.settings_of(entry.kind).model_dump(mode="json")
    split = SplitSettings.model_validate(dict(entry.split)).model_dump(mode="json")
    metrics = [target.metric for target in entry.targets]
    parts = (entry.data, entry.kind, split, settings, entry.fit, repeat, metrics, __version__)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


class Results:
    """File of results; a line is appended when its repeat is finished, and never changed."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._by_key = {result.key: result for result in self._read()}

    def get(self, key: str) -> Result | None:
        """Return the result of a repeat, or None if it has not finished."""
        return self._by_key.get(key)

    def add(self, result: Result) -> None:
        """Append a result to the file."""
        self._by_key[result.key] = result
        append_line(self.file, asdict(result))

    def for_entry(self, entry: Entry) -> list[Result]:
        """Return the results of an entry's finished repeats."""
        found = (self.get(key_of(entry, repeat)) for repeat in range(1, entry.repeats + 1))
        return [result for result in found if result is not None]

    def _read(self) -> Iterator[Result]:
        for line in read_lines(self.file):
            # Lines of another release may have other fields.
            with suppress(TypeError):
                yield Result(**line)


def table_rows(entries: Iterable[Entry], results: Results) -> Iterator[tuple[str, ...]]:
    """Yield a row for each metric of each entry with results.

    Popularity has values for ranking metrics only.
    """
    for entry in entries:
        found = results.for_entry(entry)
        for target in entry.targets if found else ():
            values = [result.values.get(target.metric, math.nan) for result in found]
            popular = [result.popularity[target.metric] for result in found if target.metric in result.popularity]
            spread = f" ± {stdev(values):.4f}" if len(values) > 1 else ""
            yield (
                entry.name,
                f"{entry.data}, {entry.protocol}",
                target.metric,
                _published(target),
                "" if target.reach is None else _number(target.reach),
                f"{mean(values):.4f}{spread}",
                f"{mean(popular):.4f}" if popular else "",
                _repeats(entry, found),
                str(found[0].users),
                f"{mean(result.seconds for result in found):.0f}",
                ", ".join(result.split_id.rpartition("-")[2][:6] for result in found),
            )


def markdown(rows: Sequence[tuple[str, ...]]) -> str:
    """Return the table in Markdown."""
    return markdown_table(HEADER, rows)


def terminal_table(rows: Sequence[tuple[str, ...]]) -> Table:
    """Return the table for a terminal."""
    table = Table(*HEADER)
    for row in rows:
        table.add_row(*row)
    return table


def _published(target: Target) -> str:
    return "-" if target.published is None else f"{_number(target.published)} ({target.source})"


def _number(value: float) -> str:
    return f"{value:.4f}".rstrip("0")


def _repeats(entry: Entry, found: Sequence[Result]) -> str:
    unit = "folds" if entry.protocol == "rating_folds" else "seeds"
    return f"{unit} {', '.join(str(result.repeat) for result in found)}"
