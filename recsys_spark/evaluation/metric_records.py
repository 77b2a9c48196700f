"""Figures where they are kept, and as a person reads them."""

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
from recsys_spark.runtime.job import JobRun
from recsys_spark.storage.schemas import TABLES

__all__ = ["EvaluatedSplit", "record_metric_values", "show_metric_values"]

KEYS = ("model_version", "split_id", "part", "metric", "slice")
MEASURED = ("value", "ci_low", "ci_high", "users")


class EvaluatedSplit(NamedTuple):
    """What models were judged on: a part of a split, and the seed that made it."""

    protocol: str
    split_id: str
    part: str
    seed: int


def record_metric_values(
    run: JobRun, figures: Sequence[MetricValue], algorithm: Mapping[str, str], place: EvaluatedSplit
) -> None:
    """Puts figures into evaluations: new ones are added, changed ones replaced, equal ones left as they are.

    `algorithm` names the kind of each version.
    """
    about = (_dataset(run), place.protocol, place.split_id, place.part)
    made = (place.seed, run.report.run_id, datetime.now(UTC))
    known = _known(run, place, list(algorithm))
    rows: list[tuple[Any, ...]] = []
    for f in figures:
        if not _same(f, known.get((f.version, f.metric, f.slice))):
            model = (algorithm[f.version], f.version, f.metric, f.slice)
            rows.append((*about, *model, f.value, f.ci_low, f.ci_high, f.users, *made))
    if rows:
        frame = run.spark.createDataFrame(rows, TABLES["evaluations"].schema)
        update = {name: f"new.{name}" for name in (*MEASURED, "run_id", "created_at")}
        run.tables.merge("evaluations", frame, KEYS, update)


def _known(run: JobRun, place: EvaluatedSplit, versions: list[str]) -> dict[tuple[str, str, str], Row]:
    """What is recorded of these versions, as many rows as they have figures."""
    run.tables.ensure("evaluations")
    where = (F.col("split_id") == place.split_id) & (F.col("part") == place.part)
    rows = run.tables.read("evaluations").where(where & F.col("model_version").isin(versions))
    columns = ("model_version", "metric", "slice", *MEASURED)
    return {(row["model_version"], row["metric"], row["slice"]): row for row in rows.select(*columns).collect()}


def _same(figure: MetricValue, row: Row | None) -> bool:
    """Whether a figure is the recorded one, but for the order in which tasks were summed up."""
    if row is None or row["users"] != figure.users:
        return False
    pairs = [(row[name], getattr(figure, name)) for name in ("value", "ci_low", "ci_high")]
    return all(a == b or (None not in (a, b) and math.isclose(a, b, rel_tol=1e-12)) for a, b in pairs)


def show_metric_values(
    figures: Sequence[MetricValue], candidates: Sequence[EvaluatedModel], setup: EvaluationSetup
) -> None:
    """Prints a row a model over all users, sorted by the first metric, the best first, its interval beside it.

    Of rankings a second table says what the lists hold.
    """
    first = setup.metrics[0] if setup.ratings is None else "rmse"
    of_all = {(f.version, f.metric): f for f in figures if f.slice == "all"}
    judged = [candidate for candidate in candidates if (candidate.version, first) in of_all]
    order = sorted(judged, key=lambda candidate: of_all[candidate.version, first].value)
    if is_better(first, 1, 0):
        order.reverse()
    metrics = list(dict.fromkeys(f.metric for f in figures))
    found = [metric for metric in metrics if setup.ratings is not None or metric in setup.metrics]
    console = table_console(200)
    for title, columns in (("What was found", found), ("What lists hold", [m for m in metrics if m not in found])):
        if columns:
            table = Table(Column("model", no_wrap=True), *columns, "users", title=f"{title}, over all users")
            for candidate in order:
                cells = [_cell(of_all.get((candidate.version, metric)), metric == first) for metric in columns]
                table.add_row(candidate.version, *cells, str(of_all[candidate.version, first].users))
            console.print(table)


def _cell(figure: MetricValue | None, with_bounds: bool) -> str:
    if figure is None:
        return "-"
    bounds = f" [{figure.ci_low:.4f}, {figure.ci_high:.4f}]" if with_bounds and figure.ci_low is not None else ""
    return f"{figure.value:.4f}{bounds}"


def _dataset(run: JobRun) -> str:
    """The names of the sources that were ingested, joined by +."""
    sources = run.tables.read("ingested_files").select("source").distinct()
    return "+".join(sorted(row["source"] for row in sources.where(F.col("source").isNotNull()).collect()))
