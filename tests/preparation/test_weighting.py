"""Confidences on Spark against a dense implementation."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config.weighting import Weighting, WeightingSettings
from recsys_spark.preparation.weighting import MIN_IDF, fit_bm25, with_confidence

SCHEMA = "user_idx INT, item_idx INT, play_count BIGINT"
# Users 0 to 5 by items 0 to 4: every user played item 0; user 5 has many plays.
PLAYS = np.array(
    [
        [1, 0, 3, 0, 0],
        [2, 1, 0, 0, 0],
        [1, 0, 0, 7, 0],
        [4, 0, 0, 0, 9],
        [1, 2, 0, 0, 1],
        [900, 80, 7, 0, 0],
    ]
)


def frame(spark: SparkSession, plays: NDArray[np.int64] = PLAYS) -> DataFrame:
    users, items = np.nonzero(plays)
    rows = zip(users.tolist(), items.tolist(), plays[users, items].tolist(), strict=True)
    return spark.createDataFrame(list(rows), SCHEMA)


def as_matrix(weighted: DataFrame) -> NDArray[np.float64]:
    matrix = np.zeros(PLAYS.shape)
    for row in weighted.collect():
        matrix[row["user_idx"], row["item_idx"]] = row["confidence"]
    return matrix


def bm25_weight(plays: NDArray[np.int64], k1: float, b: float) -> NDArray[np.float64]:
    """Return BM25 weights of a users x items matrix; users are documents, items are terms."""
    matrix = sp.coo_matrix(plays.astype(np.float64))
    n_documents = matrix.shape[0]
    idf = np.log(n_documents) - np.log1p(np.bincount(matrix.col, minlength=matrix.shape[1]))
    lengths = np.asarray(matrix.sum(axis=1)).ravel()
    norm = (1 - b) + b * lengths / lengths.mean()
    weights = matrix.data * (k1 + 1) / (k1 * norm[matrix.row] + matrix.data) * idf[matrix.col]
    return sp.coo_matrix((weights, (matrix.row, matrix.col)), shape=matrix.shape).toarray()


@pytest.mark.parametrize(
    ("weighting", "expected"), [("linear", PLAYS), ("log", np.log1p(PLAYS)), ("binary", PLAYS > 0)]
)
def test_simple_weightings(spark: SparkSession, weighting: Weighting, expected: NDArray[np.float64]) -> None:
    weighted = with_confidence(frame(spark), WeightingSettings(weighting=weighting))
    assert weighted.columns == ["user_idx", "item_idx", "play_count", "confidence"]
    assert dict(weighted.dtypes)["confidence"] == "float"
    np.testing.assert_allclose(as_matrix(weighted), expected, rtol=1e-6)


@pytest.mark.parametrize(("k1", "b"), [(100.0, 0.8), (1.2, 0.75), (3.0, 0.0), (3.0, 1.0)])
def test_bm25_is_the_formula(spark: SparkSession, k1: float, b: float) -> None:
    settings = WeightingSettings(weighting="bm25", bm25_k1=k1, bm25_b=b)
    actual = as_matrix(with_confidence(frame(spark), settings))
    expected = bm25_weight(PLAYS, k1, b)
    # The idf of an item that every user played is negative in the formula; here it stays just above zero.
    np.testing.assert_allclose(actual[:, 1:], expected[:, 1:], rtol=1e-6)
    assert (expected[:, 0] < 0).all()
    assert (actual[:, 0] > 0).all()
    assert actual[:, 0].max() < 1e-3


def test_a_new_history_is_weighted_with_the_training_numbers(spark: SparkSession) -> None:
    """Item 7 was not in the training data."""
    settings = WeightingSettings(weighting="bm25")
    statistics = fit_bm25(frame(spark))
    assert (statistics.n_users, statistics.average_length) == (6, PLAYS.sum() / 6)
    history = [(99, 1, 5), (99, 3, 1), (99, 7, 2)]
    weighted = with_confidence(spark.createDataFrame(history, SCHEMA), settings, statistics)
    first, second, unknown = [row["confidence"] for row in weighted.orderBy("item_idx").collect()]
    norm = 0.2 + 0.8 * 8 / (PLAYS.sum() / 6)
    # Three of six users played item 1, one played item 3.
    np.testing.assert_allclose(first, 5 * 101 / (100 * norm + 5) * np.log(6 / 4), rtol=1e-6)
    np.testing.assert_allclose(second, 101 / (100 * norm + 1) * np.log(6 / 2), rtol=1e-6)
    assert unknown is None
    assert statistics.item_idf.where("item_idx = 0").collect()[0]["idf"] == MIN_IDF


def test_nothing_to_weigh(spark: SparkSession) -> None:
    empty = spark.createDataFrame([], SCHEMA)
    assert with_confidence(empty, WeightingSettings(weighting="bm25")).count() == 0
