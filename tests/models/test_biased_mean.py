"""The baseline for ratings, compared with loops over a few of them."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.core.errors import TrainingError
from recsys_spark.models.biased_mean import BiasedMean
from recsys_spark.models.settings.biased_mean import BiasedMeanSettings
from recsys_spark.ranking.matrix_writer import write_item_matrix
from recsys_spark.ranking.scorer import Histories, UserBlock
from tests.matrices import all_scores

RATINGS = [(0, 0, 5.0), (0, 1, 4.0), (1, 0, 3.0), (1, 3, 1.0), (2, 1, 2.0), (2, 3, None), (2, 0, 4.0)]
N_ITEMS, BY_ITEM, BY_USER = 5, 2.0, 3.0
SCHEMA = "user_idx INT, item_idx INT, rating DOUBLE"


def by_hand() -> tuple[float, dict[int, float], dict[int, float]]:
    """Compute the mean, the biases of items and the biases of users."""
    known = [(user, item, rating) for user, item, rating in RATINGS if rating is not None]
    mean = sum(rating for *_, rating in known) / len(known)
    of_items, of_users = defaultdict(list), defaultdict(list)
    for _, item, rating in known:
        of_items[item].append(rating - mean)
    items = {item: sum(left) / (len(left) + BY_ITEM) for item, left in of_items.items()}
    for user, item, rating in known:
        of_users[user].append(rating - mean - items[item])
    return mean, items, {user: sum(left) / (len(left) + BY_USER) for user, left in of_users.items()}


def histories() -> Histories:
    """Return the users' ratings; a fourth user rated an item without other ratings, a fifth one nothing."""
    rows = [[(i, r) for u, i, r in RATINGS if u == user] for user in range(3)] + [[(4, 5.0)], []]
    indptr = np.cumsum([0, *map(len, rows)])
    items = np.array([item for row in rows for item, _ in row], dtype=np.int32)
    ratings = np.array([np.nan if r is None else r for row in rows for _, r in row], dtype=np.float32)
    return Histories(indptr, items, ratings)


def test_predictions_are_the_mean_with_both_biases(spark: SparkSession, tmp_path: Path) -> None:
    model = BiasedMean(BiasedMeanSettings(item_shrinkage=BY_ITEM, user_shrinkage=BY_USER))
    fitted = model.fit(spark.createDataFrame(RATINGS, SCHEMA), tmp_path, 1, 2)
    assert isinstance(fitted.matrix, DataFrame)
    scorer = model.scorer(write_item_matrix(fitted.matrix, tmp_path / "items", N_ITEMS, 1 << 20))
    users = scorer.encode(UserBlock(None, histories()))
    assert users.rows.tolist() == [0, 1, 2], "who rated nothing that is known is not served"
    found = all_scores(scorer.score(users.values), N_ITEMS)
    mean, items, moves = by_hand()
    for user in range(3):
        for item in range(N_ITEMS):
            expected = mean + items[item] + moves[user] if item in items else -np.inf
            assert found[user, item] == pytest.approx(expected, rel=1e-6), (user, item)


def test_training_without_ratings_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    unrated = spark.createDataFrame([(0, 0, None)], SCHEMA)
    with pytest.raises(TrainingError, match="rating"):
        BiasedMean(BiasedMeanSettings()).fit(unrated, tmp_path, 1, 2)
