"""Errors of predicted ratings, and of predicted probabilities."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["auc", "mae", "rmse"]

Values = NDArray[np.floating[Any]]


def rmse(predicted: Values, actual: Values) -> float:
    """Root of the mean squared error over all ratings together, not over users; NaN without any."""
    return float(np.sqrt(np.mean(np.square(predicted - actual, dtype=np.float64)))) if len(actual) else float("nan")


def mae(predicted: Values, actual: Values) -> float:
    """Mean absolute error over all ratings together; NaN without any."""
    return float(np.mean(np.abs(predicted - actual, dtype=np.float64))) if len(actual) else float("nan")


def auc(scores: Values, positive: NDArray[np.bool_]) -> float:
    """The chance that a positive example scores above a negative one, a tie counting half (Hanley and McNeil 1982).

    scores and positive (n,). NaN where one of the two classes is missing.
    """
    n_positive = int(positive.sum())
    n_negative = positive.size - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    # The mean of the ranks that equal scores share.
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((rank[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))
