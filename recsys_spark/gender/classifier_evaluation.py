"""Evaluation of gender classifiers by feature set: metrics recorded and printed."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame
from rich.table import Column, Table

from recsys_spark.config.gender import FeatureSet
from recsys_spark.config.model import BaseConfig
from recsys_spark.core.logs import table_console
from recsys_spark.evaluation.metric_records import EvaluatedSplit, record_metric_values
from recsys_spark.evaluation.metric_values import MetricValue
from recsys_spark.gender.classifier_training import plan_classifier
from recsys_spark.gender.confidence_limits import limit_table
from recsys_spark.gender.cross_validation import (
    cross_validate,
    held_out_users,
    majority_shares,
    predict_held_out,
    split_name,
)
from recsys_spark.gender.label_metrics import LABEL_METRICS
from recsys_spark.gender.prediction_metrics import prediction_metrics
from recsys_spark.recommend.trained_model import TrainedModel
from recsys_spark.storage.tables import Tables

__all__ = ["ClassifierMetrics", "evaluate_features", "evaluate_inductive", "show_classifier_metrics"]

log = logging.getLogger(__name__)

MAJORITY = "majority"


@dataclass(frozen=True)
class ClassifierMetrics:
    """Metric values of one feature set or the majority share, for a protocol and seed."""

    name: str
    protocol: str
    seed: int
    values: Sequence[MetricValue]

    def overall(self, metric: str) -> float:
        """Return the value over all users; NaN without one."""
        found = (v.value for v in self.values if v.metric == metric and v.slice == "all")
        return next(found, float("nan"))


def evaluate_features(
    tables: Tables,
    config: BaseConfig,
    users: DataFrame,
    labels: tuple[str, ...],
    source: TrainedModel | None,
    seed: int,
) -> Iterator[ClassifierMetrics]:
    """Cross-validate each of gender.evaluated with the folds of one seed and record the metrics."""
    split = EvaluatedSplit("gender_cv", split_name(tables, config.gender, seed), "test", seed)

    def predict(features: FeatureSet) -> DataFrame:
        return cross_validate(tables, config, users, labels, features, source, seed)

    return _evaluate_each(tables, config, predict, labels, source, split)


def evaluate_inductive(
    tables: Tables, config: BaseConfig, users: DataFrame, labels: tuple[str, ...], source: TrainedModel
) -> Iterator[ClassifierMetrics]:
    """Evaluate on the users that the split of `source` holds out, if any."""
    split_id = source.version.split_id
    assert split_id is not None
    held_out = users.select("user_idx").join(held_out_users(tables, split_id), on="user_idx", how="inner").persist()
    if held_out.isEmpty():
        log.info("%s holds out no user with a gender: no inductive evaluation", split_id)
    else:
        split = EvaluatedSplit("gender_inductive", split_id, "test", config.run.seed)

        def predict(features: FeatureSet) -> DataFrame:
            return predict_held_out(tables, config, users, labels, features, source, held_out)

        yield from _evaluate_each(tables, config, predict, labels, source, split)
    held_out.unpersist()


def _evaluate_each(
    tables: Tables,
    config: BaseConfig,
    predict: Callable[[FeatureSet], DataFrame],
    labels: tuple[str, ...],
    source: TrainedModel | None,
    split: EvaluatedSplit,
) -> Iterator[ClassifierMetrics]:
    """Yield the metrics of each of gender.evaluated, after those of the majority share.

    The majority share is measured on the users whom the first feature set predicted.
    """
    draws = config.evaluation.draws
    for number, features in enumerate(config.gender.evaluated):
        predicted = predict(features)
        if number == 0:
            yield _measure(tables, majority_shares(predicted, len(labels)), MAJORITY, MAJORITY, split, draws)
        version = plan_classifier(tables, config, features).version
        yield _measure(tables, predicted, version, _name(features, source), split, draws)


def _measure(
    tables: Tables, predicted: DataFrame, version: str, name: str, split: EvaluatedSplit, draws: int
) -> ClassifierMetrics:
    """Measure predictions and record the metrics in evaluations."""
    values = list(prediction_metrics(predicted, version, draws, split.seed))
    record_metric_values(tables, values, {version: MAJORITY if name == MAJORITY else "gender"}, split)
    metrics = ClassifierMetrics(name, split.protocol, split.seed, values)
    auc, accuracy = metrics.overall("auc"), metrics.overall("accuracy")
    log.info("%s, seed %d, %s: AUC %.4f, accuracy %.4f", split.protocol, split.seed, name, auc, accuracy)
    return metrics


def _name(features: FeatureSet, source: TrainedModel | None) -> str:
    kind = "" if source is None else source.version.kind
    return features.replace("vectors", kind)


def show_classifier_metrics(results: Sequence[ClassifierMetrics], source: TrainedModel | None) -> None:
    """Print the metrics of each protocol as three tables.

    The tables have means and deviations over the seeds, coverage by confidence limit, and slices by known items and
    age; each has one entry a feature set.
    """
    console = table_console(200)
    for protocol in dict.fromkeys(one.protocol for one in results):
        of_protocol = [one for one in results if one.protocol == protocol]
        seeds = len({one.seed for one in of_protocol})
        table = Table(Column("features", no_wrap=True), *LABEL_METRICS, "users", title=_title(protocol, seeds, source))
        for name in dict.fromkeys(one.name for one in of_protocol):
            runs = [one for one in of_protocol if one.name == name]
            users = next((f.users for f in runs[0].values if f.slice == "all"), 0)
            table.add_row(name, *[_mean(runs, metric) for metric in LABEL_METRICS], str(users))
        console.print(table)
        console.print(_limits(of_protocol))
        console.print(_by_slice([one for one in of_protocol if one.seed == of_protocol[0].seed]))


def _title(protocol: str, seeds: int, source: TrainedModel | None) -> str:
    about = "idf, scaling and labels from training users alone"
    if source is not None and protocol == "gender_cv":
        about += f"; {source.version.kind} was trained on the plays of test users, without labels"
    return f"{protocol}, {seeds} seeds; {about}" if seeds > 1 else f"{protocol}; {about}"


def _mean(runs: Sequence[ClassifierMetrics], metric: str) -> str:
    values = np.array([one.overall(metric) for one in runs])
    spread = f" +- {values.std(ddof=1):.4f}" if values.size > 1 else ""
    return f"{values.mean():.4f}{spread}"


def _limits(runs: Sequence[ClassifierMetrics]) -> Table:
    """Return the table of confidence limits, with means over the seeds.

    The majority share is left out: it is the same at any limit.
    """
    names = [name for name in dict.fromkeys(one.name for one in runs) if name != MAJORITY]
    return limit_table(names, lambda name, m: float(np.mean([one.overall(m) for one in runs if one.name == name])))


def _by_slice(runs: Sequence[ClassifierMetrics]) -> Table:
    """Return a table of AUC and accuracy by slice and feature set."""
    users = {f.slice: f.users for one in runs for f in one.values}
    names = [one.name for one in runs]
    table = Table(Column("slice", no_wrap=True), *names, "users", title="AUC / accuracy by slice")
    of_slice = {(one.name, f.metric, f.slice): f.value for one in runs for f in one.values}
    for slice_ in sorted(users, key=_order):
        cells = [_pair(of_slice.get((n, "auc", slice_)), of_slice.get((n, "accuracy", slice_))) for n in names]
        table.add_row(slice_, *cells, str(users[slice_]))
    return table


def _pair(auc: float | None, accuracy: float | None) -> str:
    return " / ".join("-" if value is None else f"{value:.3f}" for value in (auc, accuracy))


def _order(slice_: str) -> tuple[str, int]:
    name, _, span = slice_.partition("=")
    return name, int(span.partition("-")[0] or 0)
