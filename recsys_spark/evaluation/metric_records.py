"""Metric values in the table of evaluations and as printed tables."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pyspark.sql import Row
from pyspark.sql import functions as F
from rich.table import Column, Table

from recsys_spark.core.logs import table_console
from recsys_spark.evaluation.evaluation_inputs import EvaluatedModel
from recsys_spark.evaluation.evaluation_setup import EvaluationSetup
from recsys_spark.evaluation.metric_values import MetricValue
from recsys_spark.metrics.ranking import is_better
from recsys_spark.storage.schemas import TABLES
from recsys_spark.storage.tables import Tables

__all__ = ["EvaluatedSplit", "record_metric_values", "show_metric_values"]

KEYS = ("model_version", "split_id", "part", "metric", "slice")
MEASURED = ("value", "ci_low", "ci_high", "users")


class EvaluatedSplit(NamedTuple):
    """The evaluated part of a split, with the seed of the run."""

    protocol: str
    split_id: str
    part: str
    seed: int


def record_metric_values(
    tables: Tables, values: Sequence[MetricValue], kinds: Mapping[str, str], split: EvaluatedSplit
) -> None:
    """Write new and changed metric values to evaluations; equal ones stay as they are.

    `kinds` is version -> kind of model.
    """
    where = (_dataset(tables), split.protocol, split.split_id, split.part)
    run = (split.seed, tables.run_id, datetime.now(UTC))
    recorded = _read_recorded(tables, split, list(kinds))
    rows: list[tuple[Any, ...]] = []
    for v in values:
        if not _is_recorded(v, recorded.get((v.version, v.metric, v.slice))):
            model = (kinds[v.version], v.version, v.metric, v.slice)
            rows.append((*where, *model, v.value, v.ci_low, v.ci_high, v.users, *run))
    if rows:
        frame = tables.spark.createDataFrame(rows, TABLES["evaluations"].schema)
        update = {name: f"new.{name}" for name in (*MEASURED, "run_id", "created_at")}
        tables.merge("evaluations", frame, KEYS, update)


def _read_recorded(tables: Tables, split: EvaluatedSplit, versions: list[str]) -> dict[tuple[str, str, str], Row]:
    """Return the recorded rows of the versions by (version, metric, slice)."""
    tables.ensure("evaluations")
    where = (F.col("split_id") == split.split_id) & (F.col("part") == split.part)
    rows = tables.read("evaluations").where(where & F.col("model_version").isin(versions))
    columns = ("model_version", "metric", "slice", *MEASURED)
    return {(row["model_version"], row["metric"], row["slice"]): row for row in rows.select(*columns).collect()}


def _is_recorded(value: MetricValue, row: Row | None) -> bool:
    """Return True if the row holds this value.

    Values may differ by rounding, as tasks are added up in any order.
    """
    if row is None or row["users"] != value.users:
        return False
    pairs = [(row[name], getattr(value, name)) for name in ("value", "ci_low", "ci_high")]
    return all(a == b or (None not in (a, b) and math.isclose(a, b, rel_tol=1e-12)) for a, b in pairs)


def show_metric_values(values: Sequence[MetricValue], models: Sequence[EvaluatedModel], setup: EvaluationSetup) -> None:
    """Print one row a model over all users, best first by the first metric.

    The first metric has its interval beside it. Rankings have a second table with the metrics of list heads.
    """
    first = setup.metrics[0] if setup.ratings is None else "rmse"
    overall = {(v.version, v.metric): v for v in values if v.slice == "all"}
    evaluated = [model for model in models if (model.version, first) in overall]
    order = sorted(evaluated, key=lambda model: overall[model.version, first].value)
    if is_better(first, 1, 0):
        order.reverse()
    metrics = list(dict.fromkeys(v.metric for v in values))
    main = [metric for metric in metrics if setup.ratings is not None or metric in setup.metrics]
    console = table_console(200)
    for title, columns in (("Accuracy metrics", main), ("List metrics", [m for m in metrics if m not in main])):
        if columns:
            table = Table(Column("model", no_wrap=True), *columns, "users", title=f"{title}, over all users")
            for model in order:
                cells = [_cell(overall.get((model.version, metric)), metric == first) for metric in columns]
                table.add_row(model.version, *cells, str(overall[model.version, first].users))
            console.print(table)


def _cell(value: MetricValue | None, with_bounds: bool) -> str:
    if value is None:
        return "-"
    bounds = f" [{value.ci_low:.4f}, {value.ci_high:.4f}]" if with_bounds and value.ci_low is not None else ""
    return f"{value.value:.4f}{bounds}"


def _dataset(tables: Tables) -> str:
    """Return the names of the ingested sources, joined by +."""
    sources = tables.read("ingested_files").select("source").distinct()
    return "+".join(sorted(row["source"] for row in sources.where(F.col("source").isNotNull()).collect()))
