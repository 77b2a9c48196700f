"""Metrics of lists without held-out items: popularity of the items and coverage of the catalogue.

Popularity is the number of training users who played an item. A list is a row of `item_idx` (n_users, k), of which
the first `length` (n_users,) places count.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LIST_METRICS", "coverage", "gini", "mean_popularity", "novelty", "popularity_lift"]

LIST_METRICS = ("coverage", "gini", "novelty", "popularity_lift")

Items = NDArray[np.integer[Any]]
Values = NDArray[np.float64]


def novelty(item_idx: Items, length: Items, popularity: Values, n_users: int) -> Values:
    """Return the mean information of the items of each list, in bits (Zhou et al. 2010).

    The information of an item is -log2 of the share of training users who played it.
    popularity (n_items,); an item without plays counts as played by one user. NaN for an empty list.
    """
    information = -np.log2(np.maximum(popularity, 1) / max(n_users, 1))
    return _mean_of_lists(information, item_idx, length)


def mean_popularity(item_idx: Items, length: Items, popularity: Values) -> Values:
    """Return the mean popularity of the items of each list, (n_users,); NaN for an empty list."""
    return _mean_of_lists(popularity, item_idx, length)


def popularity_lift(listed: Values, of_history: Values) -> Values:
    """Return (GAP_r - GAP_p) / GAP_p of groups of users: 0 if lists are as popular as histories.

    GAP is group average popularity, the mean over a group of the mean popularity of each user's items: GAP_r of the
    lists, GAP_p of the histories (Abdollahpouri et al. 2019). The group are the users with a list and a history.
    It is a ratio of two means, which a mean of the users' ratios does not equal. listed and of_history: sums or means
    over the same users, of one shape. NaN where of_history is 0.
    """
    gap = np.divide(listed, of_history, out=np.full(np.shape(listed), np.nan), where=of_history > 0)
    return np.subtract(gap, 1)


def coverage(lists_of_items: Items, n_items: int) -> float:
    """Return the share of `n_items` that are in any list.

    lists_of_items (at most n_items,): the number of lists with each item.
    """
    return float(np.count_nonzero(lists_of_items)) / n_items if n_items else float("nan")


def gini(lists_of_items: Items, n_items: int) -> float:
    """Return the Gini index of the places of lists over `n_items`: 0 if even, near 1 for few items.

    Items that are in no list may be left out of lists_of_items. Of sorted x it is sum_i (2 i - n - 1) x_i / (n sum x).
    """
    counts = np.sort(lists_of_items).astype(np.float64)
    total = counts.sum()
    if not total:
        return float("nan")
    places = np.arange(n_items - counts.size, n_items) + 1
    return float(((2 * places - n_items - 1) * counts).sum() / (n_items * total))


def _mean_of_lists(of_item: Values, item_idx: Items, length: Items) -> Values:
    filled = np.arange(item_idx.shape[1]) < length[:, None]
    sums = np.where(filled, of_item[np.where(filled, item_idx, 0)], 0).sum(axis=1)
    return np.divide(sums, length, out=np.full(len(sums), np.nan), where=length > 0)
