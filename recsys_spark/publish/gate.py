"""Whether a candidate may serve: on the same held-out data not worse than what serves, nor than what knows nobody.

Figures are those of `evaluations`. A model that was trained on everything is judged by its parent's, and a serving
model that was trained on another split by those of the same kind and settings on the candidate's split: figures of
different splits say nothing about each other.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import ConfigError, QualityGateError
from recsys_spark.core.names import training_job
from recsys_spark.metrics.ranking import is_better, parse_metric
from recsys_spark.models.versions import ModelVersion, find_model, find_versions, kind_of
from recsys_spark.storage.tables import Tables

__all__ = ["GateDecision", "check_gate"]

# What knows nothing of the user.
BASELINES = ("popularity", "biased_mean", "majority")


@dataclass(frozen=True)
class GateDecision:
    """What the gate found: `problems` are reasons to refuse, `record` is what models.gate keeps."""

    problems: tuple[str, ...]
    record: Mapping[str, Any]

    def as_json(self) -> str:
        """For models.gate."""
        return json.dumps(self.record, sort_keys=True)


def check_gate(tables: Tables, candidate: ModelVersion, outputs: Sequence[str], config: BaseConfig) -> GateDecision:
    """Lets a candidate pass that is to serve the tables `outputs`, or raises QualityGateError with the figures.

    A reason given in `publish.override` lets any candidate pass, and is recorded. A candidate without figures passes
    as long as what serves has none either.
    """
    serving = [other for other in _serving(tables, outputs) if other.version != candidate.version]
    verdict = _judged(tables, candidate, serving, config)
    reason = config.publish.override
    if verdict.problems and reason is not None:
        return GateDecision(
            (), {**verdict.record, "verdict": "overridden", "reason": reason, "problems": verdict.problems}
        )
    if verdict.problems:
        raise QualityGateError(
            "\n".join(verdict.problems)
            + "\n--publish.override REASON publishes it all the same, and records the reason"
        )
    return verdict


def _judged(
    tables: Tables, candidate: ModelVersion, serving: Sequence[ModelVersion], config: BaseConfig
) -> GateDecision:
    judged = _judged_version(tables, candidate)
    metric = config.publish.metric or judged.selection_metric or "ndcg@10"
    parse_metric(metric)
    place = _place(tables, judged, config.evaluation.part, metric)
    figure = place.figure(tables, F.col("model_version") == judged.version)
    if figure is None:
        return _unjudged(tables, candidate, judged, place, serving)
    record: dict[str, Any] = {"verdict": "passed", **place.as_dict(), "judged_version": judged.version}
    record |= {"candidate": figure, "serving": {}}
    problems = []
    for baseline in BASELINES:
        other = place.figure(tables, F.col("algorithm") == baseline)
        if other is not None and judged.kind != baseline:
            record[baseline] = other
            if is_better(metric, other, figure):
                problems.append(
                    f"{candidate.version} is worse than {baseline} by {place}: {figure:.4f} against {other:.4f}"
                )
    for version in serving:
        other, by = _on_split(tables, version, place)
        record["serving"][version.version] = {"figure": other, "judged_version": by}
        if other is None:
            problems.append(
                f"{version.version}, which serves, has no {place} to compare with: run {training_job(version.kind)} "
                "with its settings on that split, and evaluate; or name a publish.metric that both have"
            )
        elif is_better(metric, _allowed(metric, other, config.publish.tolerance), figure):
            problems.append(
                f"{candidate.version} is worse than {version.version}, which serves, by {place}: {figure:.4f} against "
                f"{other:.4f}; publish.tolerance is {config.publish.tolerance}"
            )
    return GateDecision(tuple(problems), record)


@dataclass(frozen=True)
class _Place:
    """Where figures are comparable: one metric on one part of one split."""

    split_id: str | None
    part: str
    metric: str

    def __str__(self) -> str:
        return f"{self.metric} on {self.split_id} ({self.part})"

    def as_dict(self) -> dict[str, str | None]:
        """For the record."""
        return {"split_id": self.split_id, "part": self.part, "metric": self.metric}

    def figure(self, tables: Tables, whose: Column, any_metric: bool = False) -> float | None:
        """The figure over all users of the first of these versions; None if there is none."""
        if self.split_id is None or not tables.exists("evaluations"):
            return None
        here = (F.col("split_id") == self.split_id) & (F.col("part") == self.part) & (F.col("slice") == "all")
        if not any_metric:
            here &= F.col("metric") == self.metric
        row = tables.read("evaluations").where(here & whose).orderBy("model_version").select("value").first()
        return None if row is None else float(row["value"])


def _place(tables: Tables, judged: ModelVersion, part: str, metric: str) -> _Place:
    """The part of the split that a version was trained on; for one that was trained on everything without a parent,
    as classifiers of gender are, its newest cross-validation.
    """
    if judged.split_id is not None or not tables.exists("evaluations"):
        return _Place(judged.split_id, part, metric)
    own = (F.col("model_version") == judged.version) & F.col("protocol").endswith("_cv")
    newest = tables.read("evaluations").where(own).orderBy(F.desc("created_at"), "split_id").first()
    return _Place(None, part, metric) if newest is None else _Place(newest["split_id"], newest["part"], metric)


def _unjudged(
    tables: Tables, candidate: ModelVersion, judged: ModelVersion, place: _Place, serving: Sequence[ModelVersion]
) -> GateDecision:
    if place.figure(tables, F.col("model_version") == judged.version, any_metric=True) is not None:
        raise ConfigError(
            f"{judged.version} has figures, but no {place}: name another publish.metric, or evaluate by it"
        )
    record = {"verdict": "unjudged", **place.as_dict(), "judged_version": judged.version}
    others = [version.version for version in serving if _has_figure(tables, version)]
    if not others:
        return GateDecision((), record)
    return GateDecision(
        (
            f"{candidate.version} was not evaluated, and {', '.join(others)}, which it would replace, was: "
            + (
                "run evaluate_gender with its settings"
                if candidate.kind == "gender"
                else "train it on a split (split.protocol) and run evaluate; then, if wanted, train it with model.fit "
                "everything"
            ),
        ),
        record,
    )


def _judged_version(tables: Tables, version: ModelVersion) -> ModelVersion:
    """The version whose figures stand for it: itself, or of a last fit its parent."""
    return version if version.parent_version is None else find_model(tables, version.kind, version.parent_version)


def _on_split(tables: Tables, version: ModelVersion, place: _Place) -> tuple[float | None, str | None]:
    """The figure of a version, with the version that it was taken from: its own, or one of the same kind, settings and
    fit on that split. With a new split every day that may be what the candidate is judged by itself.
    """
    judged = _judged_version(tables, version)
    others = find_versions(tables, F.col("algorithm") == version.kind)
    alike = [other.version for other in others if _made(other) == _made(judged)]
    for name in (judged.version, *alike):
        figure = place.figure(tables, F.col("model_version") == name)
        if figure is not None:
            return figure, name
    return None, None


def _made(version: ModelVersion) -> tuple[Any, ...]:
    """How a version was made, apart from the data."""
    source = version.params.get("source_version")
    features = (version.params.get("features"), source and kind_of(source))
    return version.params["settings"], features, version.fit


def _serving(tables: Tables, outputs: Sequence[str]) -> list[ModelVersion]:
    return list(find_versions(tables, F.arrays_overlap("serves", F.array(*map(F.lit, outputs)))))


def _has_figure(tables: Tables, version: ModelVersion) -> bool:
    """Whether it was judged, by when it was published or since."""
    if version.gate is not None and "candidate" in json.loads(version.gate):
        return True
    if not tables.exists("evaluations"):
        return False
    own = F.col("model_version") == _judged_version(tables, version).version
    return not tables.read("evaluations").where(own & (F.col("slice") == "all")).isEmpty()


def _allowed(metric: str, value: float, tolerance: float) -> float:
    """The worst figure that still passes beside `value`."""
    return value * (1 - tolerance) if is_better(metric, 1, 0) else value * (1 + tolerance)
