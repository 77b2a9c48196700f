"""What a confidence limit costs and buys: how many users are still answered, and how often the answers are right."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from rich.table import Column, Table

from recsys_spark.gender.label_metrics import LabelMetric, accuracy

__all__ = ["CURVE", "LIMITS", "curve_table"]

LIMITS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
BAR = 20
MEASURED = ("coverage", "accuracy")


def _coverage(limit: float) -> LabelMetric:
    """The share of users whose likelier label has at least this probability."""

    def measure(labels: NDArray[np.int64], chances: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
        total = weights.sum()
        return float((weights * (chances.max(axis=1) >= limit)).sum() / total) if total else float("nan")

    return measure


def _accuracy_above(limit: float) -> LabelMetric:
    """The accuracy among them; NaN where there is nobody."""

    def measure(labels: NDArray[np.int64], chances: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
        return accuracy(labels, chances, weights * (chances.max(axis=1) >= limit))

    return measure


CURVE: dict[str, LabelMetric] = {
    f"{name}@{limit:g}": make(limit)
    for limit in LIMITS
    for name, make in (("coverage", _coverage), ("accuracy", _accuracy_above))
}


def curve_table(names: list[str], value: Callable[[str, str], float]) -> Table:
    """A row a limit; of each set of features, whose figures are value(name, metric), a bar of the share answered."""
    title = "Answered at a confidence limit, and right among the answered"
    table = Table(Column("limit", justify="right"), *names, title=title)
    for limit in LIMITS:
        table.add_row(f"{limit:g}", *[_cell({m: value(name, f"{m}@{limit:g}") for m in MEASURED}) for name in names])
    return table


def _cell(figures: Mapping[str, float]) -> str:
    covered, right = (figures[metric] for metric in MEASURED)
    if np.isnan(covered):
        return "-"
    filled = round(BAR * covered)
    share = "-" if np.isnan(right) else f"{right:.3f}"
    return f"{'█' * filled}{'░' * (BAR - filled)} {covered:.3f} / {share}"
