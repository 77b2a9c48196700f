"""From the sums of tasks to figures: means, errors, how lists spread over the catalogue, and their intervals."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Row

from recsys_spark.core.errors import MissingInputError, TrainingError
from recsys_spark.evaluation.evaluation_setup import RATING_COLUMNS, EvaluationSetup
from recsys_spark.metrics.bootstrap import interval
from recsys_spark.metrics.diversity import coverage, gini
from recsys_spark.metrics.slices import SLICES

__all__ = ["MetricValue", "compute_metric_values"]

Sums = NDArray[np.float64]


class MetricValue(NamedTuple):
    """One measure of one model on one slice of the users; bounds are None where nothing was drawn for them."""

    version: str
    metric: str
    slice: str
    value: float
    ci_low: float | None
    ci_high: float | None
    users: int


def compute_metric_values(judged: DataFrame, setup: EvaluationSetup) -> list[MetricValue]:
    """All figures of the rows that `judge` gave, slices without users left out.

    The driver takes a row a model, of slices x (1 + draws) x columns numbers, and how many items stand in how many
    lists. Raises TrainingError naming the models whose scores cannot be used, MissingInputError where nobody is judged.
    """
    rows = sorted(judged.collect(), key=lambda row: row["model"])
    if not rows:
        raise MissingInputError("this part of the split holds nothing out: run split_interactions with other settings")
    errors = [f"{setup.models[row['model']].version}: {row['error']}" for row in rows if row["error"]]
    if errors:
        raise TrainingError("\n".join(errors))
    found: list[MetricValue] = []
    for row in rows:
        of_model = list(_of_model(row, setup))
        users = max((figure.users for figure in of_model), default=0)
        found += [*of_model, *_of_catalogue(row, users, setup)]
    return found


def _of_model(row: Row, setup: EvaluationSetup) -> Iterator[MetricValue]:
    shape = (len(SLICES), 1 + setup.draws)
    users = np.frombuffer(row["users"]).reshape(shape)
    sums = np.frombuffer(row["sums"]).reshape(*shape, len(setup.columns))
    of_column = {name: sums[..., place] for place, name in enumerate(setup.columns)}
    with np.errstate(invalid="ignore", divide="ignore"):
        measures = dict(_rating_measures(of_column) if setup.ratings else _ranking_measures(of_column, users, setup))
    for place in np.flatnonzero(users[:, 0]):
        for metric, values in measures.items():
            if np.isfinite(values[place, 0]):
                bounds = interval(values[place, 1:])
                low, high = bounds if bounds[0] == bounds[0] else (None, None)
                value, of_users = float(values[place, 0]), int(users[place, 0])
                yield MetricValue(setup.models[row["model"]].version, metric, SLICES[place], value, low, high, of_users)


def _ranking_measures(of_column: dict[str, Sums], users: Sums, setup: EvaluationSetup) -> Iterator[tuple[str, Sums]]:
    for name in (*setup.metrics, "served"):
        yield name, of_column[name] / users
    for name in setup.list_measures:
        yield name, of_column[name] / of_column[f"n {name}"]


def _rating_measures(of_column: dict[str, Sums]) -> Iterator[tuple[str, Sums]]:
    squared, absolute, n, predicted = (of_column[name] for name in RATING_COLUMNS)
    yield "rmse", np.sqrt(squared / n)
    yield "mae", absolute / n
    yield "served", predicted / n


def _of_catalogue(row: Row, users: int, setup: EvaluationSetup) -> Iterator[MetricValue]:
    """How the heads of lists spread over the items that the model knows."""
    if setup.ratings is not None:
        return
    model = setup.models[row["model"]]
    n_items = int(np.count_nonzero(model.item_mask()))
    lists = np.repeat(row["lists"], row["items"]).astype(np.int64)
    for metric, value in (("coverage", coverage(lists, n_items)), ("gini", gini(lists, n_items))):
        if value == value:
            yield MetricValue(model.version, f"{metric}@{setup.list_length}", "all", value, None, None, users)
