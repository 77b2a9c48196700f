"""Metrics against cases worked by hand, MLlib's RankingMetrics and scikit-learn."""

from math import log2

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.mllib.evaluation import RankingMetrics
from pyspark.sql import SparkSession
from sklearn.metrics import ndcg_score

from recsys_spark.core.errors import ConfigError
from recsys_spark.metrics.ranking import RANKING_METRICS, Metric, is_better, ndcg, parse_metric

# Four users: two of three relevant items at positions 1 and 4; one of one at 3; none of two; no relevant item.
HITS = np.array([[1, 0, 0, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=np.bool_)
N_RELEVANT = np.array([3, 1, 2, 0])
IDEAL_3 = 1 + 1 / log2(3) + 1 / 2


@pytest.mark.parametrize(
    ("name", "k", "expected"),
    [
        ("ndcg", 5, [(1 + 1 / log2(5)) / IDEAL_3, 1 / 2, 0]),
        ("ndcg", 2, [1 / (1 + 1 / log2(3)), 0, 0]),
        ("recall", 5, [2 / 3, 1, 0]),
        ("recall", 2, [1 / 3, 0, 0]),
        ("recall_capped", 5, [2 / 3, 1, 0]),
        ("recall_capped", 2, [1 / 2, 0, 0]),
        ("precision", 5, [2 / 5, 1 / 5, 0]),
        ("precision", 2, [1 / 2, 0, 0]),
        ("hit_rate", 5, [1, 1, 0]),
        ("hit_rate", 2, [1, 0, 0]),
        ("mrr", 5, [1, 1 / 3, 0]),
        ("mrr", 2, [1, 0, 0]),
        ("average_precision", 5, [(1 + 2 / 4) / 3, 1 / 3, 0]),
        ("average_precision", 2, [1 / 2, 0, 0]),
        # The list ends before k.
        ("precision", 10, [2 / 10, 1 / 10, 0]),
        ("ndcg", 10, [(1 + 1 / log2(5)) / IDEAL_3, 1 / 2, 0]),
    ],
)
def test_by_hand(name: str, k: int, expected: list[float]) -> None:
    values = RANKING_METRICS[name](HITS, N_RELEVANT, k)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, [*expected, np.nan])


@pytest.mark.parametrize("name", RANKING_METRICS)
@pytest.mark.parametrize("k", [1, 3, 100])
def test_a_perfect_list_gets_one_and_an_empty_one_zero(name: str, k: int) -> None:
    n_relevant = np.array([1, 3, 7])
    hits = np.arange(20) < n_relevant[:, None]
    best = {"precision": np.minimum(n_relevant, k) / k, "recall": np.minimum(n_relevant, k) / n_relevant}
    np.testing.assert_allclose(RANKING_METRICS[name](hits, n_relevant, k), best.get(name, np.ones(3)))
    for nothing in (np.zeros((3, 20), dtype=np.bool_), np.zeros((3, 0), dtype=np.bool_)):
        np.testing.assert_array_equal(RANKING_METRICS[name](nothing, n_relevant, k), np.zeros(3))


Case = tuple[list[list[int]], list[list[int]], NDArray[np.bool_], NDArray[np.int64]]


@pytest.fixture(scope="module")
def lists() -> Case:
    """Return 50 lists of 12 of 40 items, each with 1 to 20 relevant items."""
    rng = np.random.default_rng(0)
    listed = [rng.permutation(40)[:12].tolist() for _ in range(50)]
    truth = [rng.permutation(40)[: rng.integers(1, 21)].tolist() for _ in range(50)]
    hits = np.array([np.isin(items, found) for items, found in zip(listed, truth, strict=True)])
    return listed, truth, hits, np.array([len(found) for found in truth])


@pytest.mark.parametrize("k", [1, 5, 12, 15])
def test_means_are_those_of_mllib(spark: SparkSession, lists: Case, k: int) -> None:
    listed, truth, hits, n_relevant = lists
    pairs = [([float(i) for i in a], [float(i) for i in b]) for a, b in zip(listed, truth, strict=True)]
    theirs = RankingMetrics(spark.sparkContext.parallelize(pairs, 2))
    means = {name: metric(hits, n_relevant, k).mean() for name, metric in RANKING_METRICS.items()}
    assert means["ndcg"] == pytest.approx(theirs.ndcgAt(k))
    assert means["precision"] == pytest.approx(theirs.precisionAt(k))
    assert means["recall"] == pytest.approx(theirs.recallAt(k))
    assert means["average_precision"] == pytest.approx(theirs.meanAveragePrecisionAt(k))


@pytest.mark.parametrize("k", [1, 5, 12])
def test_ndcg_is_that_of_scikit_learn(lists: Case, k: int) -> None:
    listed, truth, hits, n_relevant = lists
    relevant, score = np.zeros((50, 40)), np.zeros((50, 40))
    for user in range(50):
        relevant[user, truth[user]] = 1
        score[user, listed[user]] = np.arange(12, 0, -1)
    assert ndcg(hits, n_relevant, k).mean() == pytest.approx(ndcg_score(relevant, score, k=k, ignore_ties=True))


def test_names() -> None:
    assert parse_metric("ndcg@100") == Metric("ndcg", 100)
    assert parse_metric("recall_capped@5") == Metric("recall_capped", 5)
    assert parse_metric("rmse") == Metric("rmse", None)


@pytest.mark.parametrize("text", ["ndcg", "ndcg@", "ndcg@0", "ndcg@-1", "ndcg@1.5", "ndcg@²", "rmse@10", "map@10", ""])
def test_names_that_do_not_exist(text: str) -> None:
    with pytest.raises(ConfigError, match="recall_capped@K"):
        parse_metric(text)


def test_which_is_better() -> None:
    assert is_better("ndcg@10", 0.4, 0.3) and not is_better("ndcg@10", 0.3, 0.4)
    assert is_better("rmse", 0.8, 0.9) and not is_better("mae", 0.9, 0.8)
    assert not is_better("ndcg@10", 0.3, 0.3) and not is_better("rmse", 0.3, 0.3)
    nan = float("nan")
    assert is_better("rmse", 9.0, nan) and not is_better("rmse", nan, 9.0) and not is_better("ndcg@1", nan, nan)
