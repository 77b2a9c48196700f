"""Metrics of lists of similar items: what else the users of an item have played, and how lists spread.

A query is an item that a user has played, and its targets are the user's held-out items. The list of the query is a row
of `neighbours` (n_queries, k) of item_idx, filled with -1 beyond its end. Gains are binary.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys_spark.metrics.ranking import hit_rate, ndcg, recall

__all__ = [
    "QUERY_SLICES",
    "SIMILARITY_METRICS",
    "ListSpread",
    "QueryValues",
    "list_spread",
    "query_slices",
    "query_values",
]

# Names of metrics in evaluations, without @k, each with its meaning.
SIMILARITY_METRICS = {
    "similar_hit_rate": "Share of the queries (played items) with a held-out item of the user in their list.",
    "similar_ndcg": "NDCG of the lists of queries, by the held-out items of the user.",
    "similar_recall": "Share of pairs of a query and a held-out item with the held-out item in the query's list.",
    "similar_rare_recall": "The same, with pairs weighted by one over the training users of the held-out item.",
    "similar_popularity_lift": "Mean training users of listed items over those of all items with a list, minus 1.",
    "similar_largest_share": "Share of the lists that hold the most listed item.",
    "similar_skewness": "Skewness of the number of lists of an item (hubness): 0 if symmetric, large with few hubs.",
    "similar_unlisted": "Share of the items with a list that are in no list.",
    "similar_jaccard": "Common items of two versions' lists over the items of both, mean over items; by version.",
}

BOUNDS = (0, 10, 100, 1_000, 10_000)
# `all` comes first; the others are by training users of the query.
QUERY_SLICES = ("all", *(f"query_users={users}" for users in ("0-9", "10-99", "100-999", "1000-9999", "10000-")))


class QueryValues(NamedTuple):
    """Values of each query, (n_queries,): the recall weighted by rarity is rare_hits / rare_targets."""

    hit_rate: NDArray[np.float64]
    ndcg: NDArray[np.float64]
    recall: NDArray[np.float64]
    rare_hits: NDArray[np.float64]
    rare_targets: NDArray[np.float64]


def query_values(
    neighbours: NDArray[np.int32],
    row: NDArray[np.int64],
    target: NDArray[np.int32],
    target_users: NDArray[np.int64],
    k: int,
) -> QueryValues:
    """Return the values of queries.

    The targets are (n,): `row` is the query, `target` the item, other than the query and once a query, and
    `target_users` its training users, of which an item without any counts as having one. A query has targets.
    """
    n_queries, width = neighbours.shape
    place, position = np.nonzero(neighbours[row] == target[:, None])
    hits = np.zeros((n_queries, width), dtype=np.bool_)
    hits[row[place], position] = True
    n_targets = np.bincount(row, minlength=n_queries)
    weight = 1 / np.maximum(target_users, 1)
    inside = place[position < k]
    return QueryValues(
        hit_rate(hits, n_targets, k),
        ndcg(hits, n_targets, k),
        recall(hits, n_targets, k),
        np.bincount(row[inside], weight[inside], minlength=n_queries).astype(np.float64),
        np.bincount(row, weight, minlength=n_queries).astype(np.float64),
    )


def query_slices(users: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """Return the place in QUERY_SLICES of queries by their number of training users, (n,)."""
    return np.searchsorted(BOUNDS, users, side="right")


class ListSpread(NamedTuple):
    """Spread of items over lists."""

    largest_share: float
    skewness: float
    unlisted: float


def list_spread(degrees: NDArray[np.int64], items: NDArray[np.int64], n_lists: int) -> ListSpread:
    """Return the spread of `n_lists` lists: items[i] items are in degrees[i] lists each.

    The skewness is the third central moment over the cube of the standard deviation (Radovanović et al. 2010), 0 where
    all degrees are equal. NaN without items or lists.
    """
    n_items = items.sum()
    if not n_items or not n_lists:
        return ListSpread(float("nan"), float("nan"), float("nan"))
    deviations = degrees - (degrees * items).sum() / n_items
    spread = float(np.sqrt((items * deviations**2).sum() / n_items))
    skewness = float((items * deviations**3).sum() / n_items) / spread**3 if spread else 0.0
    return ListSpread(float(degrees[items > 0].max()) / n_lists, skewness, float(items[degrees == 0].sum() / n_items))
