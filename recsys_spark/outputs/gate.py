"""Whether a candidate may serve: not worse than what serves, nor than popularity, on the same held-out data.

Figures are those of `evaluations`. A model that was trained on everything is judged by its parent's, and a serving
model that was trained on another split by those of the same kind and settings on the candidate's split: figures of
different splits say nothing about each other.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from recsys_spark.config import BaseConfig
from recsys_spark.errors import QualityGateError
from recsys_spark.evaluation.metrics import is_better
from recsys_spark.model_versions import ModelVersion, find_model, find_versions
from recsys_spark.registry import training_job
from recsys_spark.tables import Tables

__all__ = ["Verdict", "gate"]


@dataclass(frozen=True)
class Verdict:
    """What the gate found: `problems` are reasons to refuse, `record` is what models.gate keeps."""

    problems: tuple[str, ...]
    record: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> str:
        """For models.gate."""
        return json.dumps(self.record, sort_keys=True)


def gate(tables: Tables, candidate: ModelVersion, config: BaseConfig) -> Verdict:
    """Lets a candidate pass, or raises QualityGateError with the figures.

    A reason given in `publish.override` lets any candidate pass, and is recorded. A candidate without figures passes
    as long as what serves has none either.
    """
    verdict = _judged(tables, candidate, config)
    reason = config.publish.override
    if verdict.problems and reason is not None:
        return Verdict((), {**verdict.record, "verdict": "overridden", "reason": reason, "problems": verdict.problems})
    if verdict.problems:
        raise QualityGateError(
            "\n".join(verdict.problems)
            + "\n--publish.override REASON publishes it all the same, and records the reason"
        )
    return verdict


def _judged(tables: Tables, candidate: ModelVersion, config: BaseConfig) -> Verdict:
    judged = _judged_version(tables, candidate)
    metric = config.publish.metric or judged.selection_metric
    part = config.evaluation.part
    where = {"metric": metric, "part": part, "split_id": judged.split_id, "judged_version": judged.version}
    figure = _figure(tables, judged.version, judged.split_id, part, metric)
    serving = [version for version in _serving(tables) if version.version != candidate.version]
    if figure is None or metric is None:
        return _unjudged(tables, candidate, where, serving)
    record: dict[str, Any] = {"verdict": "passed", **where, "candidate": figure, "serving": {}}
    problems = []
    popular = _popular(tables, judged.split_id, part, metric)
    if popular is not None and judged.kind != "popularity":
        record["popularity"] = popular
        if is_better(metric, popular, figure):
            problems.append(
                f"{candidate.version} is worse than popularity on {judged.split_id} ({part}): {metric} {figure:.4f} "
                f"against {popular:.4f}"
            )
    for version in serving:
        other = _on_split(tables, version, judged.split_id, part, metric)
        record["serving"][version.version] = other
        if other is None:
            problems.append(
                f"{version.version}, which serves, has no {metric} on {judged.split_id} ({part}) to compare with: run "
                f"{training_job(version.kind)} with its settings on that split, and evaluate"
            )
        elif is_better(metric, _allowed(metric, other, config.publish.tolerance), figure):
            problems.append(
                f"{candidate.version} is worse than {version.version}, which serves, on {judged.split_id} ({part}): "
                f"{metric} {figure:.4f} against {other:.4f}; publish.tolerance is {config.publish.tolerance}"
            )
    return Verdict(tuple(problems), record)


def _unjudged(
    tables: Tables, candidate: ModelVersion, where: Mapping[str, Any], serving: list[ModelVersion]
) -> Verdict:
    record = {"verdict": "unjudged", **where}
    judged = [version.version for version in serving if _verdict_of(version) in ("passed", "overridden")]
    if not judged:
        return Verdict((), record)
    return Verdict(
        (
            f"{candidate.version} was not evaluated, and {', '.join(judged)}, which it would replace, was: train it on "
            "a split (split.protocol) and run evaluate; then, if wanted, train it with model.fit everything",
        ),
        record,
    )


def _judged_version(tables: Tables, version: ModelVersion) -> ModelVersion:
    """The version whose figures stand for it: itself, or of a last fit its parent."""
    return version if version.parent_version is None else find_model(tables, version.kind, version.parent_version)


def _on_split(tables: Tables, version: ModelVersion, split: str | None, part: str, metric: str) -> float | None:
    """The figure of a version on a split: its own, or that of the same kind and settings trained there."""
    judged = _judged_version(tables, version)
    alike = find_versions(tables, (F.col("algorithm") == version.kind) & (F.col("split_id") == split))
    same = [judged, *[other for other in alike if other.params["settings"] == version.params["settings"]]]
    figures = (_figure(tables, other.version, split, part, metric) for other in same)
    return next((figure for figure in figures if figure is not None), None)


def _serving(tables: Tables) -> list[ModelVersion]:
    return list(find_versions(tables, F.size("serves") > 0))


def _verdict_of(version: ModelVersion) -> str | None:
    return None if version.gate is None else json.loads(version.gate).get("verdict")


def _popular(tables: Tables, split: str | None, part: str, metric: str) -> float | None:
    return _first_value(tables, (F.col("algorithm") == "popularity") & _place(split, part, metric))


def _figure(tables: Tables, version: str, split: str | None, part: str, metric: str | None) -> float | None:
    return _first_value(tables, (F.col("model_version") == version) & _place(split, part, metric))


def _place(split: str | None, part: str, metric: str | None) -> Column:
    wanted = {"split_id": split, "part": part, "metric": metric, "slice": "all"}
    conditions: Iterator[Column] = (F.col(name) == F.lit(value) for name, value in wanted.items())
    both = next(conditions)
    for condition in conditions:
        both = both & condition
    return both


def _first_value(tables: Tables, condition: Column) -> float | None:
    if not tables.exists("evaluations"):
        return None
    row = tables.read("evaluations").where(condition).orderBy("model_version").select("value").first()
    return None if row is None else float(row["value"])


def _allowed(metric: str, value: float, tolerance: float) -> float:
    """The worst figure that still passes beside `value`."""
    return value * (1 - tolerance) if is_better(metric, 1, 0) else value * (1 + tolerance)
