"""ALS: results, the rows used, and refused inputs."""

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config.weighting import Weighting
from recsys_spark.core.errors import TrainingError
from recsys_spark.models.als import fit_als
from recsys_spark.models.settings.als import AlsSettings

SCHEMA = "user_idx INT, item_idx INT, play_count BIGINT, rating DOUBLE"


def vectors(frame: DataFrame) -> dict[int, list[float]]:
    return {row[0]: row[1] for row in frame.collect()}


def test_ratings_are_fitted_and_rows_without_rating_are_left_out(spark: SparkSession) -> None:
    """Ratings have rank one: user u rates item i (u + 1) * (i + 1); user 8 and item 9 have plays only."""
    rated = [(u, i, 1, float((u + 1) * (i + 1))) for u in range(8) for i in range(6)]
    unrated = [(8, 0, 50, None), (0, 9, 50, None)]
    settings = AlsSettings(rank=2, max_iter=6, reg_param=1e-4, implicit=False)
    factors = fit_als(spark.createDataFrame(rated + unrated, SCHEMA), settings, seed=1, parallelism=2)
    users, items = vectors(factors.user_vectors), vectors(factors.item_vectors)
    assert factors.n_observations == 48
    assert (sorted(users), sorted(items)) == (list(range(8)), list(range(6)))
    for user, item, _, rating in rated:
        assert np.dot(users[user], items[item]) == pytest.approx(rating, rel=0.02)


def test_implicit_mode_scores_played_items_highest(spark: SparkSession) -> None:
    plays = [(u, i, 1 + u, None) for u in range(10) for i in range(10) if (u + i) % 2 == 0]
    factors = fit_als(spark.createDataFrame(plays, SCHEMA), AlsSettings(rank=4, max_iter=5), seed=1, parallelism=2)
    users, items = vectors(factors.user_vectors), vectors(factors.item_vectors)
    for user, own in users.items():
        scores = [np.dot(own, items[item]) for item in range(10)]
        assert min(scores[user % 2 :: 2]) > 0.5 > 0.4 > max(scores[1 - user % 2 :: 2])


@pytest.mark.parametrize("pairs", [[(0, 0)], [(0, i) for i in range(5)], [(u, 0) for u in range(5)]])
@pytest.mark.parametrize("weighting", ["log", "bm25"])
def test_one_user_or_one_item(spark: SparkSession, pairs: list[tuple[int, int]], weighting: Weighting) -> None:
    plays = [(u, i, 3, None) for u, i in pairs]
    factors = fit_als(
        spark.createDataFrame(plays, SCHEMA),
        AlsSettings(rank=3, max_iter=3, weighting=weighting),
        seed=1,
        parallelism=4,
    )
    users, items = vectors(factors.user_vectors), vectors(factors.item_vectors)
    for user, item in pairs:
        assert np.dot(users[user], items[item]) > 0.5


def test_same_seed_same_vectors(spark: SparkSession) -> None:
    rng = np.random.default_rng(0)
    plays = [(u, i, int(rng.integers(1, 9)), None) for u in range(40) for i in range(30) if rng.random() < 0.3]
    frame = spark.createDataFrame(plays, SCHEMA)
    shuffled = spark.createDataFrame([plays[place] for place in rng.permutation(len(plays))], SCHEMA)
    first, second = (
        fit_als(data, AlsSettings(rank=5, max_iter=3), seed=7, parallelism=2) for data in (frame, shuffled)
    )
    assert vectors(first.item_vectors) == vectors(second.item_vectors)
    assert vectors(first.user_vectors) == vectors(second.user_vectors)
    other = fit_als(frame, AlsSettings(rank=5, max_iter=3), seed=8, parallelism=2)
    assert vectors(other.item_vectors) != vectors(first.item_vectors)


def test_columns(spark: SparkSession) -> None:
    factors = fit_als(
        spark.createDataFrame([(0, 0, 1, None)], SCHEMA), AlsSettings(rank=1, max_iter=1), seed=1, parallelism=1
    )
    assert factors.user_vectors.dtypes == [("user_idx", "int"), ("vector", "array<float>")]
    assert factors.item_vectors.dtypes == [("item_idx", "int"), ("vector", "array<float>")]


@pytest.mark.parametrize(
    ("rows", "implicit", "remedy"),
    [([], True, "build_interactions"), ([], False, "implicit"), ([(0, 0, 5, None)], False, "implicit")],
)
def test_nothing_to_train_on(spark: SparkSession, rows: list[object], implicit: bool, remedy: str) -> None:
    with pytest.raises(TrainingError, match=remedy):
        fit_als(spark.createDataFrame(rows, SCHEMA), AlsSettings(implicit=implicit), seed=1, parallelism=2)
