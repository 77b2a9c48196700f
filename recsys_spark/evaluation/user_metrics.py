"""Metrics of each user of a block for one model: EvaluationSetup.columns, (n_users, columns)."""

import numpy as np
from numpy.typing import NDArray

from recsys_spark.core.csr import Csr
from recsys_spark.core.errors import TrainingError
from recsys_spark.evaluation.evaluation_setup import EvaluationSetup, ScoringModel
from recsys_spark.evaluation.user_arrays import UserArrays
from recsys_spark.metrics.diversity import mean_popularity, novelty
from recsys_spark.metrics.ranking import RANKING_METRICS
from recsys_spark.ranking.scorer import UserBlock
from recsys_spark.ranking.scores import exclude_pairs
from recsys_spark.ranking.top_n import TopN, top_n

__all__ = ["list_hits", "list_metrics", "rank_items", "rating_errors"]

Floats = NDArray[np.float64]


def rank_items(model: ScoringModel, users: UserArrays, block: UserBlock, k: int) -> TopN:
    """Return the k best items of each user, without the user's excluded items.

    Users whom the model cannot score have empty lists.
    """
    rows, queries, _ = model.scorer.encode(block)
    lists = TopN(np.zeros((len(users), k), np.int32), np.zeros((len(users), k), np.float32), np.zeros(len(users), int))
    if rows.size:
        place = np.full(len(users), -1)
        place[rows] = np.arange(rows.size)
        row, item_idx = users.excluded()
        served = place[row] >= 0
        scores = exclude_pairs(model.scorer.score(queries), place[row[served]], item_idx[served])
        best = top_n(scores, k, exact_scores=False)
        lists.item_idx[rows], lists.score[rows], lists.length[rows] = best
    return lists


def list_metrics(lists: TopN, users: UserArrays, setup: EvaluationSetup) -> Floats:
    """Return the metrics of rankings: EvaluationSetup.columns, (n, columns).

    `served` is 1 if the list has items.
    """
    targets = users.targets()
    hits = list_hits(lists, targets)
    columns = [
        RANKING_METRICS[metric.name](hits, targets.lengths(), metric.k or 0) for metric in setup.parsed_metrics()
    ]
    return np.column_stack([*columns, lists.length > 0, _head_metrics(lists, users, setup)])


def _head_metrics(lists: TopN, users: UserArrays, setup: EvaluationSetup) -> Floats:
    """Return LIST_COLUMNS of each user, (n, columns): zero where a user has no list, or no history to compare with."""
    popularity = setup.popularity_of_items()
    heads, length = lists.item_idx[:, : setup.list_length], np.minimum(lists.length, setup.list_length)
    information = novelty(heads, length, popularity, setup.n_users)
    listed, of_history = mean_popularity(heads, length, popularity), _history_popularity(users, popularity)
    is_compared = np.isfinite(listed) & np.isfinite(of_history)
    compared = [np.where(is_compared, mean, 0) for mean in (listed, of_history)]
    return np.column_stack([np.nan_to_num(information), np.isfinite(information), *compared])


def rating_errors(model: ScoringModel, users: UserArrays, block: UserBlock, setup: EvaluationSetup) -> Floats:
    """Return RATING_COLUMNS: sums of squared and absolute errors, number of ratings, number of predicted ones.

    Predictions are clipped to the range of the training ratings; users or items without training data get its middle.
    """
    assert setup.ratings is not None
    targets = users.targets()
    row = np.repeat(np.arange(len(users)), targets.lengths())
    predicted = np.full(row.size, setup.ratings.middle)
    rows, queries, _ = model.scorer.encode(block)
    place = np.full(len(users), -1)
    place[rows] = np.arange(rows.size)
    items = model.item_mask()
    has_data = (place[row] >= 0) & (targets.indices < items.size)
    has_data[has_data] = items[targets.indices[has_data]]
    if has_data.any():
        refine = model.scorer.score(queries).refine
        assert refine is not None
        scores = refine(place[row[has_data]], targets.indices[has_data])
        if np.isnan(scores).any():
            raise TrainingError("predicted ratings are not numbers: train the model again with other settings")
        predicted[has_data] = np.clip(scores, setup.ratings.lowest, setup.ratings.highest)
    errors = predicted - targets.values
    columns = (np.square(errors), np.abs(errors), np.ones(row.size), has_data)
    return np.column_stack([np.bincount(row, column, minlength=len(users)) for column in columns])


def list_hits(lists: TopN, targets: Csr) -> NDArray[np.bool_]:
    """Return the mask of list positions that hold a target item, (n, k); targets are ascending."""
    width = 1 + max(int(lists.item_idx.max(initial=0)), int(targets.indices.max(initial=0)))
    relevant = np.repeat(np.arange(len(targets)), targets.lengths()) * width + targets.indices
    listed = np.arange(len(targets))[:, None] * width + lists.item_idx
    place = np.minimum(np.searchsorted(relevant, listed), max(0, relevant.size - 1))
    filled = np.arange(lists.item_idx.shape[1]) < lists.length[:, None]
    hits: NDArray[np.bool_] = filled & (relevant[place] == listed)
    return hits


def _history_popularity(users: UserArrays, popularity: Floats) -> Floats:
    """Return the mean popularity of each user's excluded items, (n,); NaN for users without any."""
    row, item_idx = users.excluded()
    inside = item_idx < popularity.size
    sums = np.bincount(row[inside], popularity[item_idx[inside]], minlength=len(users))
    items = np.bincount(row, minlength=len(users))
    return np.divide(sums, items, out=np.full(len(users), np.nan), where=items > 0)
