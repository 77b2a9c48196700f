"""Popularity: the baseline for other models, and the fallback for users without a usable history."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.errors import TrainingError
from recsys_spark.models.kind import Fitted, ModelKind
from recsys_spark.models.settings.popularity import PopularitySettings
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.products import dot_scores
from recsys_spark.ranking.scorer import FoldIn, Origin, Queries, Scorer, UserBlock
from recsys_spark.ranking.scores import Scores, Tile, exclude_items

__all__ = ["GroupPopularityScorer", "Popularity", "PopularityScorer", "popularity_scores"]


def popularity_scores(interactions: DataFrame, settings: PopularitySettings) -> DataFrame:
    """Return (item_idx INT, score DOUBLE): the number of users of an item, or of its plays.

    `interactions` has (user_idx, item_idx, play_count), one row a pair. Items without plays have no row. Lists keep the
    score as a 4-byte float, which is exact up to 2^24; above that its relative error is at most 2^-24.
    """
    score = F.count(F.lit(1)) if settings.count == "users" else F.sum("play_count")
    return interactions.groupBy("item_idx").agg(score.cast("double").alias("score"))


@dataclass(frozen=True)
class PopularityScorer:
    """Scorer with equal scores for all users; `matrix` has rank 1 and holds the popularity of each item."""

    matrix: ItemMatrix
    fold_in: FoldIn = "forward"

    def encode(self, users: UserBlock) -> Queries:
        ones = np.ones((len(users), 1), dtype=np.float32)
        return Queries(np.arange(len(users)), ones, np.full(len(users), Origin.POPULAR))

    def score(self, queries: NDArray[np.float32]) -> Scores:
        return dot_scores(self.matrix, queries)


@dataclass(frozen=True)
class GroupPopularityScorer:
    """Scorer by the popularity in each user's group; `matrix` has a column a group, the first for all users."""

    matrix: ItemMatrix
    fold_in: FoldIn = "forward"

    def encode(self, users: UserBlock) -> Queries:
        groups = np.zeros(len(users), dtype=np.int64) if users.groups is None else users.groups
        return Queries(np.arange(len(users)), groups, np.full(len(users), Origin.POPULAR))

    def score(self, queries: NDArray[np.int64]) -> Scores:
        return exclude_items(Scores(len(queries), self._tiles(queries)), self.matrix.norms() > 0)

    def _tiles(self, groups: NDArray[np.int64]) -> Iterator[Tile]:
        for number in range(self.matrix.n_tiles):
            yield Tile(number * self.matrix.tile_items, self.matrix.tile(number).T[groups])


class Popularity(ModelKind):
    """The kind `popularity`: the same list for all users, from a matrix of one column."""

    Settings: ClassVar[type[BaseModel]] = PopularitySettings
    has_item_vectors: ClassVar[bool] = False
    has_user_vectors: ClassVar[bool] = False

    def fit(self, interactions: DataFrame, folder: Path, seed: int, parallelism: int) -> Fitted:
        """Count users or plays of each item.

        Raises TrainingError without interactions.
        """
        scores = popularity_scores(interactions, self.settings)
        if scores.isEmpty():
            raise TrainingError("there are no interactions to count: run ingest_plays and build_interactions")
        return Fitted(scores.select("item_idx", F.array(F.col("score").cast("float")).alias("vector")))

    def scorer(self, matrix: ItemMatrix) -> Scorer:
        """Return the scorer of equal scores for all users."""
        return PopularityScorer(matrix)

    def with_confidence(self, interactions: DataFrame, folder: Path) -> DataFrame:
        """Add a confidence of one: histories are only used to exclude items."""
        return interactions.withColumn("confidence", F.lit(1.0).cast("float"))
