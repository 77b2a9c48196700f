"""What judging a block of users needs beside the users: the models and what is measured; small to pickle."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from recsys_spark.metrics.ranking import Metric, parse_metric
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import Scorer

__all__ = ["RATING_COLUMNS", "EvaluationSetup", "RatingRange", "ScoringModel"]

# What is summed up of predicted ratings.
RATING_COLUMNS = ("squared_errors", "absolute_errors", "ratings", "predicted")


@dataclass(frozen=True)
class ScoringModel:
    """One model: its version, its scorer, how it wants histories ordered (column or time), and its item matrix, which
    is zero for items that it does not know.
    """

    version: str
    scorer: Scorer
    history_order: str
    matrix: ItemMatrix

    def item_mask(self) -> NDArray[np.bool_]:
        """Which items it knows, (n_items,)."""
        return self.matrix.norms() > 0


@dataclass(frozen=True)
class RatingRange:
    """The range of training ratings, to which predictions are cut."""

    lowest: float
    highest: float

    @property
    def middle(self) -> float:
        """The prediction where nothing is known."""
        return (self.lowest + self.highest) / 2


@dataclass(frozen=True)
class EvaluationSetup:
    """`metrics` are ranking metrics by name, or empty where ratings are judged; then `ratings` is set.

    `popularity` holds the number of training users of each item, `n_users` is the number of training users, and
    `list_length` that of the lists whose popularity and spread are measured. `draws` are those of the bootstrap.
    """

    models: tuple[ScoringModel, ...]
    metrics: tuple[str, ...]
    ratings: RatingRange | None
    popularity: ItemMatrix
    n_users: int
    list_length: int
    draws: int
    seed: int

    def parsed(self) -> list[Metric]:
        """The metrics, each with its k."""
        return [parse_metric(text) for text in self.metrics]

    @property
    def longest(self) -> int:
        """The length of the lists that all measures can be taken from."""
        return max([self.list_length, *[metric.k or 0 for metric in self.parsed()]])

    @property
    def columns(self) -> tuple[str, ...]:
        """What is summed up for each user; behind each measure of lists that may be undefined, how often it was not."""
        if self.ratings is not None:
            return RATING_COLUMNS
        return (*self.metrics, "served", *self.list_measures, *[f"n {name}" for name in self.list_measures])

    @property
    def list_measures(self) -> tuple[str, ...]:
        """Measures of what the heads of lists hold."""
        return tuple(f"{name}@{self.list_length}" for name in ("novelty", "popularity_lift"))

    def popularity_of_items(self) -> NDArray[np.float64]:
        """(n_items,), read once a process."""
        return _popularity(self.popularity)


@lru_cache(maxsize=2)
def _popularity(matrix: ItemMatrix) -> NDArray[np.float64]:
    return matrix.whole()[:, 0].astype(np.float64)
