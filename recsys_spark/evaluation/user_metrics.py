"""What is measured of each user of a block, for one model: the columns of EvaluationSetup, (n_users, columns)."""

import numpy as np
from numpy.typing import NDArray

from recsys_spark.core.csr import Csr
from recsys_spark.core.errors import TrainingError
from recsys_spark.evaluation.evaluation_setup import EvaluationSetup, ScoringModel
from recsys_spark.evaluation.user_arrays import UserArrays
from recsys_spark.metrics.diversity import novelty, popularity_lift
from recsys_spark.metrics.ranking import RANKING
from recsys_spark.ranking.scorer import UserBlock
from recsys_spark.ranking.scores import exclude_pairs
from recsys_spark.ranking.top_n import TopN, top_n

__all__ = ["list_hits", "list_metrics", "rank_items", "rating_errors"]

Values = NDArray[np.float64]


def rank_items(model: ScoringModel, users: UserArrays, block: UserBlock, k: int) -> TopN:
    """The k best items of each user, without what may not be listed; empty for users that the model cannot serve."""
    rows, queries, _ = model.scorer.encode(block)
    lists = TopN(np.zeros((len(users), k), np.int32), np.zeros((len(users), k), np.float32), np.zeros(len(users), int))
    if rows.size:
        place = np.full(len(users), -1)
        place[rows] = np.arange(rows.size)
        row, item_idx = users.masked()
        served = place[row] >= 0
        scores = exclude_pairs(model.scorer.score(queries), place[row[served]], item_idx[served])
        best = top_n(scores, k, exact_scores=False)
        lists.item_idx[rows], lists.score[rows], lists.length[rows] = best
    return lists


def list_metrics(lists: TopN, users: UserArrays, setup: EvaluationSetup) -> Values:
    """The ranking metrics, whether the user was served, and how popular the head of the list is."""
    found = users.found()
    hits = list_hits(lists, found)
    columns = [RANKING[metric.name](hits, found.lengths(), metric.k or 0) for metric in setup.parsed()]
    popularity = setup.popularity_of_items()
    heads, length = lists.item_idx[:, : setup.list_length], np.minimum(lists.length, setup.list_length)
    lift = popularity_lift(heads, length, popularity, _known_popularity(users, popularity))
    of_lists = np.column_stack([novelty(heads, length, popularity, setup.n_users), lift])
    served = lists.length > 0
    return np.column_stack([*columns, served, np.nan_to_num(of_lists), np.isfinite(of_lists)])


def rating_errors(model: ScoringModel, users: UserArrays, block: UserBlock, setup: EvaluationSetup) -> Values:
    """Sums of squared and absolute errors, the number of ratings, and of those that the model knew something of.

    Predictions are cut to the range of the training ratings; users or items without training data get its middle.
    """
    assert setup.ratings is not None
    found = users.found()
    row = np.repeat(np.arange(len(users)), found.lengths())
    predicted = np.full(row.size, setup.ratings.middle)
    rows, queries, _ = model.scorer.encode(block)
    place = np.full(len(users), -1)
    place[rows] = np.arange(rows.size)
    items = model.item_mask()
    known = (place[row] >= 0) & (found.indices < items.size)
    known[known] = items[found.indices[known]]
    if known.any():
        refine = model.scorer.score(queries).refine
        assert refine is not None
        scores = refine(place[row[known]], found.indices[known])
        if np.isnan(scores).any():
            raise TrainingError("predicted ratings are not numbers")
        predicted[known] = np.clip(scores, setup.ratings.lowest, setup.ratings.highest)
    errors = predicted - found.values
    columns = (np.square(errors), np.abs(errors), np.ones(row.size), known)
    return np.column_stack([np.bincount(row, column, minlength=len(users)) for column in columns])


def list_hits(lists: TopN, found: Csr) -> NDArray[np.bool_]:
    """Which places of lists hold something that was to be found (items ascending), (n, k)."""
    width = 1 + max(int(lists.item_idx.max(initial=0)), int(found.indices.max(initial=0)))
    relevant = np.repeat(np.arange(len(found)), found.lengths()) * width + found.indices
    listed = np.arange(len(found))[:, None] * width + lists.item_idx
    # Pairs that are to be found are ascending.
    place = np.minimum(np.searchsorted(relevant, listed), max(0, relevant.size - 1))
    filled = np.arange(lists.item_idx.shape[1]) < lists.length[:, None]
    hits: NDArray[np.bool_] = filled & (relevant[place] == listed)
    return hits


def _known_popularity(users: UserArrays, popularity: Values) -> Values:
    """The mean popularity of what each user is known to have played, 0 where that is nothing."""
    row, item_idx = users.masked()
    inside = item_idx < popularity.size
    sums = np.bincount(row[inside], popularity[item_idx[inside]], minlength=len(users))
    mean: Values = sums / np.maximum(np.bincount(row, minlength=len(users)), 1)
    return mean
