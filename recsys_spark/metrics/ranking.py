"""Metrics of ranked lists, one value for each user, and names of metrics.

A user's list is a row of `hits` (n_users, at least k or the length of the list): True where the item at a position is
relevant. `n_relevant` (n_users,) counts relevant items, listed or not. Gains are binary. Users without relevant items
get NaN: leave them out of means, and count them. Positions beyond the end of a list are misses.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys_spark.core.errors import ConfigError

__all__ = [
    "RANKING_METRICS",
    "Metric",
    "average_precision",
    "hit_rate",
    "is_better",
    "mrr",
    "ndcg",
    "parse_metric",
    "precision",
    "recall",
    "recall_capped",
]

Hits = NDArray[np.bool_]
Counts = NDArray[np.integer[Any]]
Values = NDArray[np.float64]


def ndcg(hits: Hits, n_relevant: Counts, k: int) -> Values:
    """Return the normalised discounted cumulative gain (Järvelin and Kekäläinen 2002).

    The sum over hits of 1 / log2(position + 1), divided by that of the ideal list: min(k, n_relevant) hits first.
    """
    gains = 1 / np.log2(np.arange(k) + 2)
    ideal = np.concatenate(([0.0], np.cumsum(gains)))
    found = hits[:, :k]
    return _divide(found @ gains[: found.shape[1]], ideal[np.minimum(n_relevant, k)])


def recall(hits: Hits, n_relevant: Counts, k: int) -> Values:
    """Return hits / n_relevant: below 1 for users with more than k relevant items (SVAE, RecBole)."""
    return _divide(_count_hits(hits, k), n_relevant)


def recall_capped(hits: Hits, n_relevant: Counts, k: int) -> Values:
    """Return hits / min(k, n_relevant): 1 for a perfect list (Mult-VAE, EASE)."""
    return _divide(_count_hits(hits, k), np.minimum(n_relevant, k))


def precision(hits: Hits, n_relevant: Counts, k: int) -> Values:
    """Return hits / k, also with fewer than k relevant or listed items."""
    return _defined(_count_hits(hits, k) / k, n_relevant)


def hit_rate(hits: Hits, n_relevant: Counts, k: int) -> Values:
    """Return 1 for lists with a hit, else 0."""
    return _defined(_count_hits(hits, k) > 0, n_relevant)


def mrr(hits: Hits, n_relevant: Counts, k: int) -> Values:
    """Return 1 / position of the first hit, 0 without one."""
    found = hits[:, :k]
    inverse = found / np.arange(1, found.shape[1] + 1)
    return _defined(inverse.max(axis=1, initial=0), n_relevant)


def average_precision(hits: Hits, n_relevant: Counts, k: int) -> Values:
    """Return the sum of the precision at the positions of hits, divided by min(k, n_relevant).

    The mean over users is MAP@k (as in MLlib and RecBole).
    """
    found = hits[:, :k]
    precisions = np.cumsum(found, axis=1) / np.arange(1, found.shape[1] + 1)
    return _divide((found * precisions).sum(axis=1), np.minimum(n_relevant, k))


RANKING_METRICS: dict[str, Callable[[Hits, Counts, int], Values]] = {
    function.__name__: function
    for function in (ndcg, recall, recall_capped, precision, hit_rate, mrr, average_precision)
}
# Metrics of lists of similar items (similar_items.py), which evaluate_similarity measures.
SIMILARITY = ("similar_hit_rate", "similar_ndcg", "similar_recall", "similar_rare_recall")
ERRORS = ("rmse", "mae")
# Metrics of predicted labels; the last two are better if smaller.
LABELS = ("auc", "accuracy", "balanced_accuracy", "log_loss", "ece")
BETTER_IF_SMALLER = (*ERRORS, *LABELS[-2:])


class Metric(NamedTuple):
    """A metric by name, and the list length k; None for metrics of ratings and labels."""

    name: str
    k: int | None


def parse_metric(text: str) -> Metric:
    """Parse a text such as ndcg@100 or rmse.

    Raises ConfigError naming all metrics.
    """
    name, at, k = text.partition("@")
    if name in (*RANKING_METRICS, *SIMILARITY) and k.isascii() and k.isdecimal() and int(k) > 0:
        return Metric(name, int(k))
    if name in (*ERRORS, *LABELS) and not at:
        return Metric(name, None)
    names = ", ".join([*(f"{name}@K" for name in (*RANKING_METRICS, *SIMILARITY)), *ERRORS, *LABELS])
    raise ConfigError(f"there is no metric {text!r}: choose one of {names}, with K a number above 0")


def is_better(metric: str, a: float, b: float) -> bool:
    """Return True if `a` is better than `b`.

    Smaller errors and losses are better, larger values of all other metrics. Any number is better than NaN.
    """
    if np.isnan(a) or np.isnan(b):
        return bool(np.isnan(b) and not np.isnan(a))
    return a < b if parse_metric(metric).name in BETTER_IF_SMALLER else a > b


def _count_hits(hits: Hits, k: int) -> NDArray[np.int64]:
    found: NDArray[np.int64] = hits[:, :k].sum(axis=1)
    return found


def _divide(values: NDArray[Any], by: NDArray[Any]) -> Values:
    return np.divide(values, by, out=np.full(len(values), np.nan), where=by > 0)


def _defined(values: NDArray[Any], n_relevant: Counts) -> Values:
    return np.where(n_relevant > 0, values, np.nan)
