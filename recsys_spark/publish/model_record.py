"""Facts of one model version for a tracking server: parameters, metrics, curves, tags, and a card as JSON."""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

__all__ = ["VERSION_TAG", "ModelRecord", "Point", "metric_name", "model_record"]

VERSION_TAG = "recsys.model_version"
# Columns of models that a publication changes later. They belong to the aliases.
CHANGING = ("serves", "published_at", "retired_at", "gate")
# Fields of a line in the log of epochs that are not measured, or are not a curve.
NOT_A_CURVE = ("epoch", "metric", "metric_name")
MAX_VALUE = 5_000


class Point(NamedTuple):
    """One value of a metric; `time` is in milliseconds since 1970."""

    name: str
    value: float
    step: int
    time: int


@dataclass(frozen=True)
class ModelRecord:
    """Facts of one model version.

    `card` is the row of models with the evaluations, as JSON values.
    """

    version: str
    created: int
    params: dict[str, str]
    points: list[Point]
    tags: dict[str, str]
    card: dict[str, Any]

    @property
    def digest(self) -> str:
        """Return a hash of all facts."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def model_record(
    row: Mapping[str, Any], evaluations: Sequence[Mapping[str, Any]], epochs: Sequence[Mapping[str, Any]]
) -> ModelRecord:
    """Return the record of a row of models.

    `evaluations` are the version's rows of evaluations for the slice `all`, and `epochs` the lines of its log of
    epochs. Times of points are those of the rows, so that a repeated record adds none.
    """
    version, created = row["model_version"], _milliseconds(row["created_at"])
    params, inputs = json.loads(row["params"]), json.loads(row["inputs"])
    settings = params.pop("settings", {})
    judged = sorted(evaluations, key=lambda each: (each["split_id"], each["part"], each["metric"]))
    points = [Point(metric_name(name), value, 0, created) for name, value in sorted((row["metrics"] or {}).items())]
    points += [point for line in epochs for point in _epoch_points(line, created)]
    points += [
        Point(metric_name(f"{e['part']}/{e['metric']}"), e["value"], 0, _milliseconds(e["created_at"])) for e in judged
    ]
    tags = {VERSION_TAG: version, "recsys.kind": row["algorithm"]}
    tags |= {
        f"recsys.{name}": str(row[name]) for name in ("split_id", "parent_version", "selection_metric") if row[name]
    }
    tags |= {f"recsys.data.{table}": str(number) for table, number in inputs.items()}
    card = {name: _plain(value) for name, value in row.items() if name not in CHANGING}
    card |= {"params": {**params, "settings": settings}, "inputs": inputs}
    card["evaluations"] = [{name: _plain(value) for name, value in each.items()} for each in judged]
    return ModelRecord(
        version=version,
        created=created,
        params={name: text[:MAX_VALUE] for name, text in _flat({**settings, **params})},
        points=[point for point in points if math.isfinite(point.value)],
        tags={name: text[:MAX_VALUE] for name, text in tags.items()},
        card=card,
    )


def metric_name(name: str) -> str:
    """Return a metric's name as MLflow takes it: ndcg@10 as ndcg_at_10."""
    return re.sub(r"[^\w./ -]", "_", name.replace("@", "_at_"), flags=re.ASCII)


def _epoch_points(line: Mapping[str, Any], created: int) -> Iterator[Point]:
    """Yield the values of one epoch: its loss, its metric by name, and what else was measured."""
    curves = {name: value for name, value in line.items() if name not in NOT_A_CURVE}
    curves[str(line.get("metric_name", "metric"))] = line.get("metric")
    for name, value in curves.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield Point(metric_name(f"epoch/{name}"), float(value), int(line["epoch"]), created)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested settings by dotted name; lists as JSON."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value if isinstance(value, str) else json.dumps(value)


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def _plain(value: Any) -> Any:
    # Rows have times of the machine's zone.
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
