"""What evaluate_gender does with a set of features: judge, keep the figures, show them."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame
from rich.table import Column, Table

from recsys_spark.config.gender import FeatureSet
from recsys_spark.core.logs import table_console
from recsys_spark.evaluation.metric_records import EvaluatedSplit, record_metric_values
from recsys_spark.evaluation.metric_values import MetricValue
from recsys_spark.gender.classifier_training import plan_classifier
from recsys_spark.gender.confidence_limits import curve_table
from recsys_spark.gender.cross_validation import (
    cross_validate,
    held_out_users,
    inductive,
    judged,
    majority_shares,
    split_name,
)
from recsys_spark.gender.label_metrics import LABEL_METRICS
from recsys_spark.recommend.trained_model import TrainedModel
from recsys_spark.runtime.job import JobRun

__all__ = ["ClassifierMetrics", "evaluate_features", "evaluate_inductive", "show_classifier_metrics"]

log = logging.getLogger(__name__)

MAJORITY = "majority"


@dataclass(frozen=True)
class ClassifierMetrics:
    """The figures of one set of features (or of the majority share) under one protocol and seed."""

    name: str
    protocol: str
    seed: int
    figures: Sequence[MetricValue]

    def of_all(self, metric: str) -> float:
        """The figure over all users; NaN without one."""
        found = (f.value for f in self.figures if f.metric == metric and f.slice == "all")
        return next(found, float("nan"))


def evaluate_features(
    run: JobRun, users: DataFrame, labels: tuple[str, ...], source: TrainedModel | None, seed: int
) -> Iterator[ClassifierMetrics]:
    """Cross-validates each of gender.evaluated with the folds of one seed, and keeps the figures."""
    place = EvaluatedSplit("gender_cv", split_name(run, seed), "test", seed)

    def predicted_by(features: FeatureSet) -> DataFrame:
        return cross_validate(run, users, labels, features, source, seed)

    return _evaluate_each(run, predicted_by, labels, source, place)


def evaluate_inductive(
    run: JobRun, users: DataFrame, labels: tuple[str, ...], source: TrainedModel
) -> Iterator[ClassifierMetrics]:
    """The same on the users whom the split of `source` holds out, if it holds out users."""
    assert source.version.split_id is not None
    held = users.select("user_idx").join(held_out_users(run, source.version.split_id), on="user_idx", how="inner")
    held = held.persist()
    if held.isEmpty():
        log.info("%s holds out nobody who states a gender: no inductive figure", source.version.split_id)
    else:
        place = EvaluatedSplit("gender_inductive", source.version.split_id, "test", run.config.run.seed)
        yield from _evaluate_each(
            run, lambda features: inductive(run, users, labels, features, source, held), labels, source, place
        )
    held.unpersist()


def _evaluate_each(
    run: JobRun,
    predicted_by: Callable[[FeatureSet], DataFrame],
    labels: tuple[str, ...],
    source: TrainedModel | None,
    place: EvaluatedSplit,
) -> Iterator[ClassifierMetrics]:
    """Each of gender.evaluated, before them the majority share of the users whom the first one predicted."""
    for number, features in enumerate(run.config.gender.evaluated):
        predicted = predicted_by(features)
        if number == 0:
            yield _kept(run, majority_shares(predicted, len(labels)), MAJORITY, MAJORITY, place)
        yield _kept(run, predicted, plan_classifier(run, features).version, _name(features, source), place)


def _kept(run: JobRun, predicted: DataFrame, version: str, name: str, place: EvaluatedSplit) -> ClassifierMetrics:
    figures = list(judged(predicted, version, run.config.evaluation.draws, place.seed))
    record_metric_values(run, figures, {version: MAJORITY if name == MAJORITY else "gender"}, place)
    one = ClassifierMetrics(name, place.protocol, place.seed, figures)
    auc, accuracy = one.of_all("auc"), one.of_all("accuracy")
    log.info("%s, seed %d, %s: AUC %.4f, accuracy %.4f", one.protocol, one.seed, one.name, auc, accuracy)
    return one


def _name(features: FeatureSet, source: TrainedModel | None) -> str:
    kind = "" if source is None else source.version.kind
    return features.replace("vectors", kind)


def show_classifier_metrics(found: Sequence[ClassifierMetrics], source: TrainedModel | None) -> None:
    """Prints a row a set of features with means and deviations over the seeds, the curve of coverage, then
    slices by known items and age.
    """
    console = table_console(200)
    for protocol in dict.fromkeys(one.protocol for one in found):
        of_protocol = [one for one in found if one.protocol == protocol]
        seeds = len({one.seed for one in of_protocol})
        table = Table(Column("features", no_wrap=True), *LABEL_METRICS, "users", title=_title(protocol, seeds, source))
        for name in dict.fromkeys(one.name for one in of_protocol):
            runs = [one for one in of_protocol if one.name == name]
            users = next((f.users for f in runs[0].figures if f.slice == "all"), 0)
            table.add_row(name, *[_mean(runs, metric) for metric in LABEL_METRICS], str(users))
        console.print(table)
        console.print(_curve(of_protocol))
        console.print(_by_slice([one for one in of_protocol if one.seed == of_protocol[0].seed]))


def _title(protocol: str, seeds: int, source: TrainedModel | None) -> str:
    saw = source is not None and protocol == "gender_cv"
    what = "idf, scaling and labels from training users alone"
    what += f"; {source.version.kind} saw the test users' plays, no labels" if source is not None and saw else ""
    return f"{protocol}, {seeds} seeds; {what}" if seeds > 1 else f"{protocol}; {what}"


def _mean(runs: Sequence[ClassifierMetrics], metric: str) -> str:
    values = np.array([one.of_all(metric) for one in runs])
    spread = f" +- {values.std(ddof=1):.4f}" if values.size > 1 else ""
    return f"{values.mean():.4f}{spread}"


def _curve(runs: Sequence[ClassifierMetrics]) -> Table:
    """Means over the seeds; the majority share is the same at any limit."""
    names = [name for name in dict.fromkeys(one.name for one in runs) if name != MAJORITY]
    return curve_table(names, lambda name, m: float(np.mean([one.of_all(m) for one in runs if one.name == name])))


def _by_slice(runs: Sequence[ClassifierMetrics]) -> Table:
    """AUC and accuracy of each set of features, a row a slice."""
    users = {f.slice: f.users for one in runs for f in one.figures}
    names = [one.name for one in runs]
    table = Table(Column("slice", no_wrap=True), *names, "users", title="AUC / accuracy by slice")
    of_slice = {(one.name, f.metric, f.slice): f.value for one in runs for f in one.figures}
    for slice_ in sorted(users, key=_order):
        cells = [_pair(of_slice.get((n, "auc", slice_)), of_slice.get((n, "accuracy", slice_))) for n in names]
        table.add_row(slice_, *cells, str(users[slice_]))
    return table


def _pair(auc: float | None, accuracy: float | None) -> str:
    return " / ".join("-" if value is None else f"{value:.3f}" for value in (auc, accuracy))


def _order(slice_: str) -> tuple[str, int]:
    name, _, span = slice_.partition("=")
    return name, int(span.partition("-")[0] or 0)
