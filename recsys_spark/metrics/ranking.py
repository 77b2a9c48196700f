"""Measures of ranked lists, a value for each user.

A user's list is a row of `hits` (n_users, at least k or as many places as the list has): whether the item at a place
is one that was to be found. `n_relevant` (n_users,) counts what was to be found, listed or not. Gains are binary.
Users with nothing to be found get NaN: leave them out of means, and count them. Lists shorter than k miss the rest.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys_spark.core.errors import ConfigError

__all__ = [
    "RANKING",
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
    """Sum over hits of 1 / log2(position + 1), divided by the same sum for the ideal list: min(k, n_relevant) hits at
    its head (Järvelin and Kekäläinen 2002).
    """
    gains = 1 / np.log2(np.arange(k) + 2)
    ideal = np.concatenate(([0.0], np.cumsum(gains)))
    found = hits[:, :k]
    return _divided(found @ gains[: found.shape[1]], ideal[np.minimum(n_relevant, k)])


def recall(hits: Hits, n_relevant: Counts, k: int) -> Values:
    """Hits / n_relevant: below 1 for whoever has more than k items to be found (SVAE, RecBole)."""
    return _divided(_found(hits, k), n_relevant)


def recall_capped(hits: Hits, n_relevant: Counts, k: int) -> Values:
    """Hits / min(k, n_relevant): 1 for a perfect list (Mult-VAE, EASE)."""
    return _divided(_found(hits, k), np.minimum(n_relevant, k))


def precision(hits: Hits, n_relevant: Counts, k: int) -> Values:
    """Hits / k, also where fewer than k items were to be found or listed."""
    return _known(_found(hits, k) / k, n_relevant)


def hit_rate(hits: Hits, n_relevant: Counts, k: int) -> Values:
    """1 if anything is found, else 0."""
    return _known(_found(hits, k) > 0, n_relevant)


def mrr(hits: Hits, n_relevant: Counts, k: int) -> Values:
    """1 / position of the first hit, 0 without one."""
    found = hits[:, :k]
    inverse = found / np.arange(1, found.shape[1] + 1)
    return _known(inverse.max(axis=1, initial=0), n_relevant)


def average_precision(hits: Hits, n_relevant: Counts, k: int) -> Values:
    """Sum over hits of the precision at their positions, divided by min(k, n_relevant): the mean over users is MAP@k
    (as in MLlib and RecBole).
    """
    found = hits[:, :k]
    precisions = np.cumsum(found, axis=1) / np.arange(1, found.shape[1] + 1)
    return _divided((found * precisions).sum(axis=1), np.minimum(n_relevant, k))


RANKING: dict[str, Callable[[Hits, Counts, int], Values]] = {
    function.__name__: function
    for function in (ndcg, recall, recall_capped, precision, hit_rate, mrr, average_precision)
}
ERRORS = ("rmse", "mae")
# Of predicted labels; the last two should be small.
LABELS = ("auc", "accuracy", "balanced_accuracy", "log_loss", "ece")
SMALL = (*ERRORS, *LABELS[-2:])


class Metric(NamedTuple):
    """A metric by name, and the length of the lists that it looks at; None for predicted ratings and labels."""

    name: str
    k: int | None


def parse_metric(text: str) -> Metric:
    """The metric of a text such as ndcg@100 or rmse.

    Raises ConfigError naming those that there are.
    """
    name, at, k = text.partition("@")
    if name in RANKING and k.isascii() and k.isdecimal() and int(k) > 0:
        return Metric(name, int(k))
    if name in (*ERRORS, *LABELS) and not at:
        return Metric(name, None)
    names = ", ".join([*(f"{name}@K" for name in RANKING), *ERRORS, *LABELS])
    raise ConfigError(f"no metric {text!r}; there are {names}, with K a number above 0")


def is_better(metric: str, a: float, b: float) -> bool:
    """Whether `a` beats `b`: errors and losses should be small, all else large; any number beats NaN, equals do not."""
    if np.isnan(a) or np.isnan(b):
        return bool(np.isnan(b) and not np.isnan(a))
    return a < b if parse_metric(metric).name in SMALL else a > b


def _found(hits: Hits, k: int) -> NDArray[np.int64]:
    found: NDArray[np.int64] = hits[:, :k].sum(axis=1)
    return found


def _divided(values: NDArray[Any], by: NDArray[Any]) -> Values:
    return np.divide(values, by, out=np.full(len(values), np.nan), where=by > 0)


def _known(values: NDArray[Any], n_relevant: Counts) -> Values:
    return np.where(n_relevant > 0, values, np.nan)
