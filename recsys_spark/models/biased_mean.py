"""Baseline estimates of ratings: the mean rating plus an item bias and a user bias (Koren 2010).

Both biases are mean residuals, shrunk to zero where there are few ratings. Any model of ratings should have a lower
error than this baseline.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.errors import TrainingError
from recsys_spark.models.kind import Fitted, ModelKind
from recsys_spark.models.settings.biased_mean import BiasedMeanSettings
from recsys_spark.ranking.dot_scorer import DotScorer
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import FoldIn, Histories, Scorer

__all__ = ["BiasFoldIn", "BiasedMean"]


@dataclass(frozen=True)
class BiasFoldIn:
    """Fold-in of a history: the vector (user bias, 1), or zero without a rated item of the model."""

    user_shrinkage: float
    fold_in: FoldIn = "solve"

    def __call__(self, matrix: ItemMatrix, histories: Histories) -> NDArray[np.float32]:
        known = histories.of_items(matrix.norms() > 0) & np.isfinite(histories.confidence)
        rows = histories.rows()[known]
        residuals = histories.confidence[known] - matrix.rows(histories.item_idx[known])[:, 1]
        numbers = np.bincount(rows, minlength=len(histories))
        sums = np.bincount(rows, weights=residuals, minlength=len(histories))
        biases = np.divide(sums, numbers + self.user_shrinkage, out=np.zeros(len(histories)), where=numbers > 0)
        return np.column_stack([biases, numbers > 0]).astype(np.float32)


class BiasedMean(ModelKind):
    """The kind `biased_mean`: score = (user bias, 1) . (1, mean + item bias)."""

    Settings: ClassVar[type[BaseModel]] = BiasedMeanSettings
    has_item_vectors: ClassVar[bool] = False
    has_user_vectors: ClassVar[bool] = False

    @property
    def predicts_ratings(self) -> bool:
        """Return True: scores are ratings."""
        return True

    def fit(self, interactions: DataFrame, folder: Path, seed: int, parallelism: int) -> Fitted:
        """Compute the mean and the item biases in two passes.

        Raises TrainingError without ratings.
        """
        ratings = interactions.where("rating is not null").select("user_idx", "item_idx", "rating")
        mean = ratings.agg(F.avg("rating")).first()
        if mean is None or mean[0] is None:
            raise TrainingError("no interaction has a rating to train on: ingest a source with ratings")
        residual = F.col("rating") - F.lit(mean[0])
        items = ratings.groupBy("item_idx").agg(_shrunk_mean(residual, self.settings.item_shrinkage).alias("bias"))
        return Fitted(items.select("item_idx", _vector(F.lit(1.0), F.lit(mean[0]) + F.col("bias"))))

    def scorer(self, matrix: ItemMatrix) -> Scorer:
        """Return a scorer by dot products that computes every user's bias from the history."""
        return DotScorer(matrix, BiasFoldIn(self.settings.user_shrinkage))

    def with_confidence(self, interactions: DataFrame, folder: Path) -> DataFrame:
        """Add the ratings as confidence."""
        return interactions.withColumn("confidence", F.col("rating").cast("float"))


def _shrunk_mean(values: Column, shrinkage: float) -> Column:
    return F.sum(values) / (F.count(values) + F.lit(shrinkage))


def _vector(*parts: Column) -> Column:
    return F.array(*[part.cast("float") for part in parts]).alias("vector")
