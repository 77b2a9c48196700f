"""Metrics of predicted label probabilities, with user weights for bootstrap draws."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BINS",
    "LABEL_METRICS",
    "LabelMetric",
    "accuracy",
    "auc",
    "balanced_accuracy",
    "calibration_error",
    "log_loss",
]

Labels = NDArray[np.int64]
Floats = NDArray[np.float64]
# From labels (n,), probabilities (n, labels) and weights (n,) to a value.
LabelMetric = Callable[[Labels, Floats, Floats], float]

# Number of probability bins of the calibration error.
BINS = 10
# A probability of zero for the true label would make the log loss infinite.
SMALLEST = 1e-12


def auc(labels: Labels, chances: Floats, weights: Floats) -> float:
    """Return the area under the ROC curve.

    It is the chance that of two users the one with the label has the higher probability, ties counted half (Hanley and
    McNeil 1982). With more than two labels it is the mean over labels that occur, each against the rest. NaN with a
    single label.
    """
    if chances.shape[1] == 2:
        return _one_auc(labels == 1, chances[:, 1], weights)
    each = [_one_auc(labels == label, chances[:, label], weights) for label in range(chances.shape[1])]
    defined = [value for value in each if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def _one_auc(positive: NDArray[np.bool_], score: Floats, weights: Floats) -> float:
    _, place = np.unique(score, return_inverse=True)
    with_label = np.bincount(place, weights * positive)
    without = np.bincount(place, weights * ~positive)
    total = with_label.sum() * without.sum()
    if not total:
        return float("nan")
    below = np.cumsum(without) - without
    return float((with_label * (below + without / 2)).sum() / total)


def accuracy(labels: Labels, chances: Floats, weights: Floats) -> float:
    """Return the share of users whose likeliest label is their own.

    Of equal probabilities the first label counts.
    """
    return _mean(chances.argmax(axis=1) == labels, weights)


def balanced_accuracy(labels: Labels, chances: Floats, weights: Floats) -> float:
    """Return the mean recall over the labels that occur; 1 / labels for a constant prediction."""
    right = weights * (chances.argmax(axis=1) == labels)
    users = np.bincount(labels, weights, minlength=chances.shape[1])
    found = np.bincount(labels, right, minlength=chances.shape[1])
    occurs = users > 0
    return float((found[occurs] / users[occurs]).mean()) if occurs.any() else float("nan")


def log_loss(labels: Labels, chances: Floats, weights: Floats) -> float:
    """Return the mean of -ln of the probability of the true label."""
    own = chances[np.arange(labels.size), labels]
    return _mean(-np.log(np.maximum(own, SMALLEST)), weights)


def _mean(values: NDArray[Any], weights: Floats) -> float:
    """Return the weighted mean; NaN if all weights are 0."""
    total = weights.sum()
    return float((values * weights).sum() / total) if total else float("nan")


def calibration_error(labels: Labels, chances: Floats, weights: Floats) -> float:
    """Return the expected calibration error over tenths of the likelier label's probability.

    Guo et al. 2017.
    """
    best = chances.max(axis=1)
    place = np.minimum((best * BINS).astype(np.int64), BINS - 1)
    right = chances.argmax(axis=1) == labels
    gaps = np.bincount(place, weights * (best - right), minlength=BINS)
    total = weights.sum()
    return float(np.abs(gaps).sum() / total) if total else float("nan")


LABEL_METRICS: dict[str, LabelMetric] = {
    "auc": auc,
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "log_loss": log_loss,
    "ece": calibration_error,
}
