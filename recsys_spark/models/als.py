"""Alternating least squares (ALS) by Spark's MLlib, or by conjugate gradient on blocks (block_als).

Implicit mode explains every pair, played or not, and weights the played ones by confidence (Hu, Koren and
Volinsky 2008); explicit mode fits ratings. MLlib scales the regularisation by the number of a row's ratings
(Zhou et al. 2008), so reg_param is not comparable with that of other libraries. Predictions are scores for ranking,
not probabilities.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel
from pyspark.ml.recommendation import ALS, ALSModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.errors import TrainingError
from recsys_spark.models.als_fold_in import AlsFoldIn
from recsys_spark.models.block_als.fit import fit_blocks, start_from
from recsys_spark.models.block_als.objective import Objective
from recsys_spark.models.block_als.training import Passes
from recsys_spark.models.kind import CHECKPOINTS, Fitted, ModelKind
from recsys_spark.models.settings.als import AlsSettings
from recsys_spark.preparation.weighting import Bm25Statistics, fit_bm25, read_bm25, with_confidence, write_bm25
from recsys_spark.ranking.dot_scorer import DotScorer
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import Scorer

__all__ = [
    "Als",
    "AlsFactors",
    "als_estimator",
    "als_factors",
    "als_observations",
    "fit_als",
]


@dataclass(frozen=True)
class AlsFactors:
    """Factors of a fitted model: user_vectors (user_idx INT, vector ARRAY<FLOAT>), item_vectors (item_idx INT, vector).

    Rows exist for the users and items of the training data only. Spark keeps both frames cached for the lifetime of
    this object: write them, then delete it. `n_observations` is the number of pairs trained on.
    """

    user_vectors: DataFrame
    item_vectors: DataFrame
    n_observations: int


def als_observations(
    interactions: DataFrame, settings: AlsSettings, statistics: Bm25Statistics | None = None
) -> DataFrame:
    """Add the `confidence` FLOAT that ALS takes: the weight of the plays, or the rating in explicit mode.

    Training and fold-in use the same values. The confidence is null without a rating, or for an item that `statistics`
    does not contain.
    """
    if settings.implicit:
        return with_confidence(interactions, settings, statistics)
    return interactions.withColumn("confidence", F.col("rating").cast("float"))


def fit_als(
    interactions: DataFrame,
    settings: AlsSettings,
    seed: int,
    parallelism: int,
    statistics: Bm25Statistics | None = None,
) -> AlsFactors:
    """Train on `interactions` (user_idx INT, item_idx INT, play_count BIGINT, rating DOUBLE; one row a pair).

    `parallelism` is the number of tasks that the cluster runs at once. The input is cached on memory and disk, and must
    be deterministic (read from a table version). Equal input, seed and number of blocks give equal vectors up to
    rounding. Without a checkpoint directory the lineage grows with every pass and may overflow the JVM's stack from
    about 15 passes on. Raises TrainingError if there is nothing to train on.
    """
    blocks = settings.blocks or parallelism
    observations = (
        als_observations(interactions, settings, statistics)
        .where("confidence is not null")
        .select("user_idx", "item_idx", "confidence")
        # ALS sums in stored order, so fixed partitions and a fixed order make its vectors repeatable.
        .repartition(blocks, "user_idx")
        .sortWithinPartitions("user_idx", "item_idx")
        .persist()
    )
    try:
        n_observations = observations.count()
        if n_observations == 0:
            raise TrainingError(_no_observations(settings))
        model = als_estimator(settings, seed, blocks).fit(observations)
    finally:
        observations.unpersist()
    return als_factors(model, n_observations)


def als_factors(model: ALSModel, n_observations: int) -> AlsFactors:
    """Return the factors of MLlib's model with the column names of the tables."""
    return AlsFactors(
        user_vectors=model.userFactors.select(F.col("id").alias("user_idx"), F.col("features").alias("vector")),
        item_vectors=model.itemFactors.select(F.col("id").alias("item_idx"), F.col("features").alias("vector")),
        n_observations=n_observations,
    )


class Als(ModelKind):
    """The kind `als`: factors as vectors, and fold-in by the closed form."""

    Settings: ClassVar[type[BaseModel]] = AlsSettings

    @property
    def mllib_values(self) -> int:
        """Return the rank: a model of MLlib holds the factors of all users and items."""
        return int(self.settings.rank) if self.settings.solver == "mllib" else 0

    def fit(self, interactions: DataFrame, folder: Path, seed: int, parallelism: int) -> Fitted:
        """Train, and write the statistics of the weights below `folder`.

        Later histories get the same weights by them.
        """
        statistics = write_bm25(fit_bm25(interactions), folder) if self._needs_statistics else None
        if self.settings.solver == "block_cg":
            return self._fit_blocks(
                als_observations(interactions, self.settings, statistics), folder, seed, parallelism
            )
        factors = fit_als(interactions, self.settings, seed, parallelism, statistics)
        metrics = {"observations": float(factors.n_observations)}
        return Fitted(factors.item_vectors, factors.user_vectors, factors.item_vectors, metrics)

    def _fit_blocks(self, observations: DataFrame, folder: Path, seed: int, parallelism: int) -> Fitted:
        settings: AlsSettings = self.settings
        passes = Passes(
            Objective.of(settings.model_dump()),
            settings.rank,
            settings.max_iter,
            settings.cg_steps,
            seed,
            settings.start_scale,
            settings.stop_below,
            first_rank=settings.first_rank,
        )
        if self.start is not None:
            vectors = {"users": self.start.user_vectors, "items": self.start.item_vectors}
            passes = replace(passes, start=start_from(vectors, passes))
        used = "confidence is not null and not isnan(confidence)" + (
            " and confidence <> 0" if settings.implicit else ""
        )
        pairs = observations.where(used).select("user_idx", "item_idx", "confidence")
        start = None if self.start is None else self.start.version
        key = {"settings": settings.model_dump(mode="json"), "seed": seed, "start": start}
        fit = fit_blocks(pairs, folder / CHECKPOINTS, settings.blocks or 2 * parallelism, passes, key)
        if fit is None:
            raise TrainingError(_no_observations(settings))
        metrics = {
            "observations": float(fit.n_observations),
            "objective": fit.objectives[-1],
            "passes": float(len(fit.objectives)),
        }
        return Fitted(fit.item_vectors, fit.user_vectors, fit.item_vectors, metrics)

    def scorer(self, matrix: ItemMatrix) -> Scorer:
        """Return a scorer by dot products, with fold-in for users without a vector."""
        return DotScorer(matrix, AlsFoldIn(Objective.of(self.settings.model_dump())))

    def with_confidence(self, interactions: DataFrame, folder: Path) -> DataFrame:
        """Add the confidence of training: the weights, or in explicit mode the ratings."""
        statistics = read_bm25(interactions.sparkSession, folder) if self._needs_statistics else None
        return als_observations(interactions, self.settings, statistics)

    @property
    def predicts_ratings(self) -> bool:
        """Return True in explicit mode."""
        return not self.settings.implicit

    @property
    def _needs_statistics(self) -> bool:
        return bool(self.settings.implicit) and self.settings.needs_statistics


def als_estimator(settings: AlsSettings, seed: int, blocks: int) -> ALS:
    """Return MLlib's ALS with these settings, for pairs of als_observations."""
    return ALS(
        userCol="user_idx",
        itemCol="item_idx",
        ratingCol="confidence",
        rank=settings.rank,
        maxIter=settings.max_iter,
        regParam=settings.reg_param,
        alpha=settings.alpha,
        implicitPrefs=settings.implicit,
        numUserBlocks=blocks,
        numItemBlocks=blocks,
        checkpointInterval=settings.checkpoint_interval,
        coldStartStrategy="nan",
        seed=seed,
    )


def _no_observations(settings: AlsSettings) -> str:
    if settings.implicit:
        return (
            "there are no interactions to train on: "
            "run ingest_plays and build_interactions, or lower the minimum support"
        )
    return "no interaction has a rating to train on: ingest a source with ratings, or set models.als.implicit to true"
