"""Section of a report: serving models, their evaluation, and training curves."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyspark.sql import Row
from pyspark.sql import functions as F

from recsys_spark.metrics.ranking import is_better
from recsys_spark.report.charts import Series, line_chart
from recsys_spark.report.page import Cell, Figure, Section, Table
from recsys_spark.storage.tables import Tables

__all__ = ["models_section", "serving_models"]

# Rows that reach the driver: model versions, and metric values of one split.
MAX_MODELS = 50
MAX_VALUES = 200
MAX_CURVES = 6
LOG = "log.jsonl"


def serving_models(tables: Tables) -> list[Row]:
    """Return the rows of models that serve a table, newest first; at most MAX_MODELS."""
    if not tables.exists("models"):
        return []
    rows = tables.read("models").where(F.size(F.coalesce("serves", F.array())) > 0)
    return rows.orderBy(F.desc("published_at")).limit(MAX_MODELS).collect()


def models_section(tables: Tables, files_root: Path | None, serving: list[Row]) -> Section:
    """Return the section; `files_root` is None where the files of models cannot be opened here."""
    if not tables.exists("models"):
        return Section("models", "Models", empty="No model has been trained yet.")
    newest = tables.read("models").orderBy(F.desc("created_at")).limit(MAX_MODELS).collect()
    figures = [*_serving(serving), *_evaluated(tables), *_curves(newest, files_root)]
    return Section("models", "Models", figures, "" if figures else "No model serves a table: run publish_model.")


def _serving(serving: list[Row]) -> list[Figure]:
    rows = [
        (
            row["model_version"],
            ", ".join(row["serves"]),
            f"{row['created_at']:%Y-%m-%d %H:%M}",
            f"{row['published_at']:%Y-%m-%d %H:%M}" if row["published_at"] else "-",
            _verdict(row["gate"]),
        )
        for row in serving
    ]
    columns = ("version", "serves", "trained (UTC)", "published (UTC)", "quality gate")
    sentence = "Each output table is served by one model version; publish_model --publish.rollback true goes back."
    return [Figure("Serving models", sentence, table=Table(columns, rows), wide=True)] if rows else []


def _verdict(gate: str | None) -> str:
    verdict = str(json.loads(gate).get("verdict", "-")) if gate else "-"
    return {"unjudged": "not evaluated"}.get(verdict, verdict)


def _evaluated(tables: Tables) -> list[Figure]:
    """Return the values of the newest evaluated split, by its models' first recorded metric."""
    if not tables.exists("evaluations"):
        return []
    values = tables.read("evaluations").where("slice = 'all'")
    last = values.orderBy(F.desc("created_at")).limit(1).collect()
    if not last:
        return []
    split = (F.col("split_id") == last[0]["split_id"]) & (F.col("part") == last[0]["part"])
    rows = values.where(split).orderBy(F.desc("created_at")).limit(MAX_VALUES).collect()
    metric = _main_metric({row["metric"] for row in rows})
    shown = {row["model_version"]: row for row in reversed(rows) if row["metric"] == metric}
    ordered = sorted(shown.values(), key=lambda row: row["value"], reverse=is_better(metric, 1, 0))
    best = max((abs(row["value"]) for row in ordered), default=0) or 1.0
    cells = [
        (
            row["model_version"],
            Cell(f"{row['value']:.4f}", abs(row["value"]) / best),
            _interval(row),
            f"{row['users']:,}",
        )
        for row in ordered
    ]
    table = Table(("model", metric, "95% interval", "users"), cells)
    sentence = (
        f"Measured on the {last[0]['part']} part of {last[0]['split_id']}, which the models did not see;"
        " models whose intervals overlap are hard to tell apart."
    )
    return [Figure(f"Models compared by {metric}", sentence, table=table, wide=True)] if cells else []


def _main_metric(metrics: set[str]) -> str:
    preferred = ("ndcg@10", "rmse", "auc", "accuracy")
    return next((metric for metric in preferred if metric in metrics), min(metrics))


def _interval(row: Row) -> str:
    return "-" if row["ci_low"] is None else f"{row['ci_low']:.4f} to {row['ci_high']:.4f}"


def _curves(models: list[Row], files_root: Path | None) -> list[Figure]:
    """Return a figure of training losses and one of validation metrics."""
    logs = {row["model_version"]: _epochs(files_root, row["artifact"]) for row in models} if files_root else {}
    logs = {version: epochs for version, epochs in list(logs.items()) if epochs}
    chosen = list(logs.items())[:MAX_CURVES]
    losses = [Series(version, _points(epochs, "loss", relative=True)) for version, epochs in chosen]
    metrics = [Series(version, _points(epochs, "metric", relative=False)) for version, epochs in chosen]
    figures: list[Figure] = []
    name = f"{chosen[0][0]}: a" if len(chosen) == 1 else "A"
    loss = line_chart("Training loss by epoch", "epoch", "loss, first epoch = 1", losses, y_from_zero=False)
    if loss:
        sentence = f"{name} loss that still falls at the end means that more epochs may help."
        figures.append(Figure("Training loss", sentence, loss))
    metric = line_chart("Validation metric by epoch", "epoch", "validation metric", metrics, y_from_zero=False)
    if metric:
        sentence = f"{name} curve that falls at the end means that the network learns the training data by heart."
        figures.append(Figure("Validation during training", sentence, metric))
    return figures


def _epochs(files_root: Path, artifact: str | None) -> list[Mapping[str, Any]]:
    file = files_root / artifact / LOG if artifact else None
    if file is None or not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _points(epochs: list[Mapping[str, Any]], key: str, relative: bool) -> list[tuple[float, float]]:
    found = [(float(line["epoch"]) + 1, line.get(key)) for line in epochs]
    points = [(epoch, float(value)) for epoch, value in found if value is not None]
    first = points[0][1] if relative and points and points[0][1] else 1.0
    return [(epoch, value / first) for epoch, value in points]
