"""Evaluation setup: the models and metrics that executors need beside the users; small to pickle."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from recsys_spark.metrics.ranking import Metric, parse_metric
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import Scorer

__all__ = ["LIST_COLUMNS", "RATING_COLUMNS", "EvaluationSetup", "RatingRange", "ScoringModel"]

# Sums over the heads of lists: the second counts the terms of the first, the last two are over users with a list and a
# history.
LIST_COLUMNS = ("novelty", "lists", "list_popularity", "history_popularity")
# Sums over predicted ratings.
RATING_COLUMNS = ("squared_errors", "absolute_errors", "ratings", "predicted")


@dataclass(frozen=True)
class ScoringModel:
    """One model as executors score with it.

    `history_order` is the order in which it takes histories ("column" or "time"). Rows of `matrix` are zero for items
    that the model cannot score.
    """

    version: str
    scorer: Scorer
    history_order: str
    matrix: ItemMatrix

    def item_mask(self) -> NDArray[np.bool_]:
        """Return the mask of the items that the model can score, (n_items,)."""
        return self.matrix.norms() > 0


@dataclass(frozen=True)
class RatingRange:
    """The range of training ratings, to which predictions are clipped."""

    lowest: float
    highest: float

    @property
    def middle(self) -> float:
        """Return the prediction for users or items without training data."""
        return (self.lowest + self.highest) / 2


@dataclass(frozen=True)
class EvaluationSetup:
    """The models to evaluate, the metrics and their parameters.

    `metrics` are names of ranking metrics. They are empty where rating errors are measured; then `ratings` is set.
    `popularity` holds the number of training users of each item, `n_users` is the number of training users, and
    `list_length` the length of the list heads whose popularity and spread are measured. `draws` is the number of
    bootstrap draws.
    """

    models: tuple[ScoringModel, ...]
    metrics: tuple[str, ...]
    ratings: RatingRange | None
    popularity: ItemMatrix
    n_users: int
    list_length: int
    draws: int
    seed: int

    def parsed_metrics(self) -> list[Metric]:
        """Return the metrics, each with its k."""
        return [parse_metric(text) for text in self.metrics]

    @property
    def ranked_items(self) -> int:
        """Return the length of the ranked lists, long enough for all metrics."""
        return max([self.list_length, *[metric.k or 0 for metric in self.parsed_metrics()]])

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the sums over users."""
        return RATING_COLUMNS if self.ratings is not None else (*self.metrics, "served", *LIST_COLUMNS)

    def popularity_of_items(self) -> NDArray[np.float64]:
        """Return the number of training users of each item, (n_items,), read once a process."""
        return _popularity(self.popularity)


@lru_cache(maxsize=2)
def _popularity(matrix: ItemMatrix) -> NDArray[np.float64]:
    return matrix.whole()[:, 0].astype(np.float64)
