"""The mean rating, moved by how much higher or lower an item is rated than others and a user rates than others (Koren
2010, baseline estimates): what any model of ratings must beat.

Both moves are means of what is left, pulled to zero where there are few ratings.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.errors import TrainingError
from recsys_spark.core.search_space import Range, SearchSpace
from recsys_spark.models.kind import Fitted, ModelKind
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import DotScorer, FoldIn, Histories, Scorer

__all__ = ["BiasFoldIn", "BiasedMean", "BiasedMeanSettings"]


class BiasedMeanSettings(BaseModel):
    """Settings of the baseline of ratings."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    search_space: ClassVar[SearchSpace] = {
        "item_shrinkage": Range(1.0, 100.0, log=True),
        "user_shrinkage": Range(1.0, 100.0, log=True),
    }

    item_shrinkage: float = Field(default=25.0, ge=0, description="Ratings of an item that count as much as the mean.")
    user_shrinkage: float = Field(default=10.0, ge=0, description="Ratings of a user that count as much as none.")


@dataclass(frozen=True)
class BiasFoldIn:
    """The vector of a history, (move of the user, 1): zero where none of its items is known or rated."""

    user_shrinkage: float
    fold_in: FoldIn = "solve"

    def __call__(self, matrix: ItemMatrix, histories: Histories) -> NDArray[np.float32]:
        known = histories.of_items(matrix.norms() > 0) & np.isfinite(histories.confidence)
        rows = histories.rows()[known]
        left = histories.confidence[known] - matrix.rows(histories.item_idx[known])[:, 1]
        numbers = np.bincount(rows, minlength=len(histories))
        sums = np.bincount(rows, weights=left, minlength=len(histories))
        moves = np.divide(sums, numbers + self.user_shrinkage, out=np.zeros(len(histories)), where=numbers > 0)
        return np.column_stack([moves, numbers > 0]).astype(np.float32)


class BiasedMean(ModelKind):
    """score = (move of the user, 1) . (1, mean + move of the item)."""

    Settings: ClassVar[type[BaseModel]] = BiasedMeanSettings
    has_item_vectors: ClassVar[bool] = False
    has_user_vectors: ClassVar[bool] = False

    @property
    def predicts_ratings(self) -> bool:
        """Nothing else."""
        return True

    def fit(self, interactions: DataFrame, folder: Path, seed: int, parallelism: int) -> Fitted:
        """Means in two passes; raises TrainingError without ratings."""
        ratings = interactions.where("rating is not null").select("user_idx", "item_idx", "rating")
        mean = ratings.agg(F.avg("rating")).first()
        if mean is None or mean[0] is None:
            raise TrainingError("No interaction has a rating to train on. Ingest a source with ratings.")
        left = F.col("rating") - F.lit(mean[0])
        items = ratings.groupBy("item_idx").agg(_shrunk(left, self.settings.item_shrinkage).alias("move"))
        return Fitted(items.select("item_idx", _vector(F.lit(1.0), F.lit(mean[0]) + F.col("move"))))

    def scorer(self, matrix: ItemMatrix) -> Scorer:
        """Dot products; everybody's move is worked out from the history."""
        return DotScorer(matrix, BiasFoldIn(self.settings.user_shrinkage))

    def with_confidence(self, interactions: DataFrame, folder: Path) -> DataFrame:
        """The ratings."""
        return interactions.withColumn("confidence", F.col("rating").cast("float"))


def _shrunk(values: Column, shrinkage: float) -> Column:
    return F.sum(values) / (F.count(values) + F.lit(shrinkage))


def _vector(*parts: Column) -> Column:
    return F.array(*[part.cast("float") for part in parts]).alias("vector")
