"""Coverage and accuracy of predictions above a confidence limit."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from rich.table import Column, Table

from recsys_spark.gender.label_metrics import LabelMetric, accuracy

__all__ = ["LIMITS", "LIMIT_METRICS", "limit_table"]

LIMITS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
BAR = 20
SHOWN = ("coverage", "accuracy")


def _coverage(limit: float) -> LabelMetric:
    """Return the metric: share of users whose likelier label has at least this probability."""

    def measure(labels: NDArray[np.int64], chances: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
        total = weights.sum()
        return float((weights * (chances.max(axis=1) >= limit)).sum() / total) if total else float("nan")

    return measure


def _accuracy_above(limit: float) -> LabelMetric:
    """Return the metric: accuracy among the users above the limit; NaN without any."""

    def measure(labels: NDArray[np.int64], chances: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
        return accuracy(labels, chances, weights * (chances.max(axis=1) >= limit))

    return measure


LIMIT_METRICS: dict[str, LabelMetric] = {
    f"{name}@{limit:g}": make(limit)
    for limit in LIMITS
    for name, make in (("coverage", _coverage), ("accuracy", _accuracy_above))
}


def limit_table(names: list[str], value: Callable[[str, str], float]) -> Table:
    """Return a table with a row a limit and a column a set of features.

    value(name, metric) is the metric of a set of features. A cell shows coverage as a bar and a number, and accuracy.
    """
    title = "Coverage and accuracy at a confidence limit"
    table = Table(Column("limit", justify="right"), *names, title=title)
    for limit in LIMITS:
        table.add_row(f"{limit:g}", *[_cell({m: value(name, f"{m}@{limit:g}") for m in SHOWN}) for name in names])
    return table


def _cell(values: Mapping[str, float]) -> str:
    covered, right = (values[metric] for metric in SHOWN)
    if np.isnan(covered):
        return "-"
    filled = round(BAR * covered)
    share = "-" if np.isnan(right) else f"{right:.3f}"
    return f"{'█' * filled}{'░' * (BAR - filled)} {covered:.3f} / {share}"
