"""Metric values from sums over users: means, rating errors, catalogue coverage, with intervals."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Row

from recsys_spark.core.errors import MissingInputError, TrainingError
from recsys_spark.evaluation.evaluation_setup import LIST_COLUMNS, RATING_COLUMNS, EvaluationSetup
from recsys_spark.metrics.bootstrap import percentile_interval
from recsys_spark.metrics.diversity import coverage, gini, popularity_lift
from recsys_spark.metrics.slices import SLICES

__all__ = ["MetricValue", "compute_metric_values"]

Sums = NDArray[np.float64]


class MetricValue(NamedTuple):
    """One metric of one model on one slice of the users; bounds are None without bootstrap draws."""

    version: str
    metric: str
    slice: str
    value: float
    ci_low: float | None
    ci_high: float | None
    users: int


def compute_metric_values(sums: DataFrame, setup: EvaluationSetup) -> list[MetricValue]:
    """Return all metric values of the rows of evaluate_users; slices without users are left out.

    The driver takes a row a model, of slices x (1 + draws) x columns numbers, and how many items occur in how many
    lists. Raises TrainingError naming the models whose scores cannot be used, MissingInputError where the evaluated
    part of the split has no users.
    """
    rows = sorted(sums.collect(), key=lambda row: row["model"])
    if not rows:
        raise MissingInputError(
            "the evaluated part of the split has no held-out pairs: run split_interactions with other settings"
        )
    errors = [f"{setup.models[row['model']].version}: {row['error']}" for row in rows if row["error"]]
    if errors:
        raise TrainingError("\n".join(errors))
    values: list[MetricValue] = []
    for row in rows:
        means = list(_user_metrics(row, setup))
        users = max((value.users for value in means), default=0)
        values += [*means, *_catalogue_metrics(row, users, setup)]
    return values


def _user_metrics(row: Row, setup: EvaluationSetup) -> Iterator[MetricValue]:
    shape = (len(SLICES), 1 + setup.draws)
    users = np.frombuffer(row["users"]).reshape(shape)
    sums = np.frombuffer(row["sums"]).reshape(*shape, len(setup.columns))
    column_sums = {name: sums[..., place] for place, name in enumerate(setup.columns)}
    with np.errstate(invalid="ignore", divide="ignore"):
        metrics = dict(_rating_metrics(column_sums) if setup.ratings else _ranking_metrics(column_sums, users, setup))
    for place in np.flatnonzero(users[:, 0]):
        for metric, values in metrics.items():
            if np.isfinite(values[place, 0]):
                bounds = percentile_interval(values[place, 1:])
                low, high = bounds if bounds[0] == bounds[0] else (None, None)
                value, n_users = float(values[place, 0]), int(users[place, 0])
                yield MetricValue(setup.models[row["model"]].version, metric, SLICES[place], value, low, high, n_users)


def _ranking_metrics(column_sums: dict[str, Sums], users: Sums, setup: EvaluationSetup) -> Iterator[tuple[str, Sums]]:
    for name in (*setup.metrics, "served"):
        yield name, column_sums[name] / users
    novelty, lists, *compared = (column_sums[name] for name in LIST_COLUMNS)
    yield f"novelty@{setup.list_length}", novelty / lists
    yield f"popularity_lift@{setup.list_length}", popularity_lift(*compared)


def _rating_metrics(column_sums: dict[str, Sums]) -> Iterator[tuple[str, Sums]]:
    squared, absolute, n, predicted = (column_sums[name] for name in RATING_COLUMNS)
    yield "rmse", np.sqrt(squared / n)
    yield "mae", absolute / n
    yield "served", predicted / n


def _catalogue_metrics(row: Row, users: int, setup: EvaluationSetup) -> Iterator[MetricValue]:
    """Yield the spread of list heads over the items that the model can score."""
    if setup.ratings is not None:
        return
    model = setup.models[row["model"]]
    n_items = int(np.count_nonzero(model.item_mask()))
    lists = np.repeat(row["lists"], row["items"]).astype(np.int64)
    for metric, value in (("coverage", coverage(lists, n_items)), ("gini", gini(lists, n_items))):
        if value == value:
            yield MetricValue(model.version, f"{metric}@{setup.list_length}", "all", value, None, None, users)
