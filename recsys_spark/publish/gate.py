"""Quality gate: comparison of a candidate with the serving model and the baselines."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import ConfigError, QualityGateError
from recsys_spark.core.names import ITEM_KNN, SIMILARITY_METRIC, training_job
from recsys_spark.metrics.ranking import is_better, parse_metric
from recsys_spark.models.versions import ModelVersion, find_model, find_versions, kind_of
from recsys_spark.storage.tables import Tables

__all__ = ["GateDecision", "check_gate"]

# Models that use no data of the user.
BASELINES = ("popularity", "biased_mean", "majority")


@dataclass(frozen=True)
class GateDecision:
    """Result of the comparison: `problems` are reasons to refuse, `record` is the content of models.gate."""

    problems: tuple[str, ...]
    record: Mapping[str, Any]

    def as_json(self) -> str:
        """Return the text of the column models.gate."""
        return json.dumps(self.record, sort_keys=True)


def check_gate(tables: Tables, candidate: ModelVersion, outputs: Sequence[str], config: BaseConfig) -> GateDecision:
    """Return the decision to publish a candidate for the tables `outputs`, or raise QualityGateError.

    Metric values come from `evaluations`, and values of different splits are not compared. A model that was trained on
    everything is compared by the values of its parent. A serving model that was trained on another split is compared by
    the values of a model with the same kind and settings on the candidate's split. Lists of similar items (item_knn)
    that serve are compared with the candidate's lists of similar items.

    A candidate without values passes as long as no serving model has any. With `publish.override`, any candidate passes
    and the reason is recorded.
    """
    serving = [other for other in _serving(tables, outputs) if other.version != candidate.version]
    decision = _compare(tables, candidate, serving, config)
    reason = config.publish.override
    if decision.problems and reason is not None:
        overridden = {"verdict": "overridden", "reason": reason, "problems": decision.problems}
        return GateDecision((), {**decision.record, **overridden})
    if decision.problems:
        raise QualityGateError(
            "\n".join(decision.problems)
            + "\nto publish it nevertheless, give the reason, which is recorded: --publish.override REASON"
        )
    return decision


def _compare(
    tables: Tables, candidate: ModelVersion, serving: Sequence[ModelVersion], config: BaseConfig
) -> GateDecision:
    evaluated = _evaluated_version(tables, candidate)
    metric = config.publish.metric or evaluated.selection_metric or "ndcg@10"
    parse_metric(metric)
    where = _metric_on_split(tables, evaluated, config.evaluation.part, metric)
    value = where.value(tables, F.col("model_version") == evaluated.version)
    if value is None:
        return _without_evaluation(tables, candidate, evaluated, where, serving)
    record: dict[str, Any] = {"verdict": "passed", **where.as_dict(), "judged_version": evaluated.version}
    record |= {"candidate": value, "serving": {}}
    problems = []
    for baseline in BASELINES:
        other = where.value(tables, F.col("algorithm") == baseline)
        if other is not None and evaluated.kind != baseline:
            record[baseline] = other
            if is_better(metric, other, value):
                problems.append(
                    f"{candidate.version} is worse than {baseline} by {where}: {value:.4f} against {other:.4f}"
                )
    for version in serving:
        by = where if version.kind != ITEM_KNN else replace(where, metric=SIMILARITY_METRIC)
        own = value if by == where else by.value(tables, F.col("model_version") == evaluated.version)
        other, source = _value_on_split(tables, version, by)
        record["serving"][version.version] = {"figure": other, "judged_version": source}
        problem = _comparison(candidate, own, version, other, by, config.publish.tolerance)
        problems += [] if problem is None else [problem]
    return GateDecision(tuple(problems), record)


def _comparison(
    candidate: ModelVersion,
    value: float | None,
    serving: ModelVersion,
    other: float | None,
    where: "_MetricOnSplit",
    tolerance: float,
) -> str | None:
    """Return the reason to refuse `value` beside `other` of a serving version, or None."""
    if value is None and other is None:
        return None
    is_similarity = where.metric.startswith("similar_")
    if value is None:
        return (
            f"{candidate.version} has no {where} to compare with {serving.version}, which serves: run "
            "build_item_similarity and evaluate_similarity on that split"
        )
    if other is None:
        return (
            f"{serving.version}, which serves, has no {where} to compare with: run {training_job(serving.kind)} with "
            f"its settings on that split, and {'evaluate_similarity' if is_similarity else 'evaluate'}; or name a "
            "publish.metric that both have"
        )
    if is_better(where.metric, _worst_allowed(where.metric, other, tolerance), value):
        return (
            f"{candidate.version} is worse than {serving.version}, which serves, by {where}: {value:.4f} against "
            f"{other:.4f}; publish.tolerance is {tolerance}"
        )
    return None


@dataclass(frozen=True)
class _MetricOnSplit:
    """One metric on one part of one split: values of it are comparable."""

    split_id: str | None
    part: str
    metric: str

    def __str__(self) -> str:
        return f"{self.metric} on {self.split_id} ({self.part})"

    def as_dict(self) -> dict[str, str | None]:
        """Return the fields of the record."""
        return {"split_id": self.split_id, "part": self.part, "metric": self.metric}

    def value(self, tables: Tables, models: Column, any_metric: bool = False) -> float | None:
        """Return the value over all users of the first version that meets the condition `models`.

        Returns None if there is none.
        """
        if self.split_id is None or not tables.exists("evaluations"):
            return None
        here = (F.col("split_id") == self.split_id) & (F.col("part") == self.part) & (F.col("slice") == "all")
        if not any_metric:
            here &= F.col("metric") == self.metric
        row = tables.read("evaluations").where(here & models).orderBy("model_version").select("value").first()
        return None if row is None else float(row["value"])


def _metric_on_split(tables: Tables, evaluated: ModelVersion, part: str, metric: str) -> _MetricOnSplit:
    """Return the metric on the split that a version was trained on.

    For a version without split and parent, such as a gender classifier, it is the newest cross-validation.
    """
    if evaluated.split_id is not None or not tables.exists("evaluations"):
        return _MetricOnSplit(evaluated.split_id, part, metric)
    own = (F.col("model_version") == evaluated.version) & F.col("protocol").endswith("_cv")
    newest = tables.read("evaluations").where(own).orderBy(F.desc("created_at"), "split_id").first()
    return (
        _MetricOnSplit(None, part, metric)
        if newest is None
        else _MetricOnSplit(newest["split_id"], newest["part"], metric)
    )


def _without_evaluation(
    tables: Tables,
    candidate: ModelVersion,
    evaluated: ModelVersion,
    where: _MetricOnSplit,
    serving: Sequence[ModelVersion],
) -> GateDecision:
    if where.value(tables, F.col("model_version") == evaluated.version, any_metric=True) is not None:
        raise ConfigError(
            f"{evaluated.version} was evaluated, but not by {where}: name another publish.metric, or evaluate by it"
        )
    record = {"verdict": "unjudged", **where.as_dict(), "judged_version": evaluated.version}
    others = [version.version for version in serving if _was_evaluated(tables, version)]
    if not others:
        return GateDecision((), record)
    advice = {
        "gender": "run evaluate_gender with its settings",
        ITEM_KNN: "build it on a split (split.protocol) and run evaluate_similarity for both; then it may be built "
        "with model.fit everything",
    }.get(
        candidate.kind,
        "train it on a split (split.protocol) and run evaluate; then it may be trained with model.fit everything",
    )
    problem = f"{candidate.version} was not evaluated, and {', '.join(others)}, which it would replace, was: {advice}"
    return GateDecision((problem,), record)


def _evaluated_version(tables: Tables, version: ModelVersion) -> ModelVersion:
    """Return the version that was evaluated: the parent of a last fit, else the version itself."""
    return version if version.parent_version is None else find_model(tables, version.kind, version.parent_version)


def _value_on_split(tables: Tables, version: ModelVersion, where: _MetricOnSplit) -> tuple[float | None, str | None]:
    """Return the value of a version and the version that it was measured on.

    Without a value of its own, it is that of a version with the same kind, settings and fit on the split. With a new
    split every day, this may be the version that the candidate itself is compared by.
    """
    evaluated = _evaluated_version(tables, version)
    others = find_versions(tables, F.col("algorithm") == version.kind)
    alike = [other.version for other in others if _training_settings(other) == _training_settings(evaluated)]
    for name in (evaluated.version, *alike):
        value = where.value(tables, F.col("model_version") == name)
        if value is not None:
            return value, name
    return None, None


def _training_settings(version: ModelVersion) -> tuple[Any, ...]:
    """Return all that determines a version except the data."""
    source = version.params.get("source_version")
    features = (version.params.get("features"), source and kind_of(source))
    return version.params["settings"], features, version.fit


def _serving(tables: Tables, outputs: Sequence[str]) -> list[ModelVersion]:
    return list(find_versions(tables, F.arrays_overlap("serves", F.array(*map(F.lit, outputs)))))


def _was_evaluated(tables: Tables, version: ModelVersion) -> bool:
    """Return True if the version had values when it was published, or has some now."""
    if version.gate is not None and "candidate" in json.loads(version.gate):
        return True
    if not tables.exists("evaluations"):
        return False
    own = F.col("model_version") == _evaluated_version(tables, version).version
    return not tables.read("evaluations").where(own & (F.col("slice") == "all")).isEmpty()


def _worst_allowed(metric: str, value: float, tolerance: float) -> float:
    """Return the worst value that passes beside `value`."""
    return value * (1 - tolerance) if is_better(metric, 1, 0) else value * (1 + tolerance)
