"""EASE compared with its closed form in numpy, and lists made from it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.core.errors import ConfigError, TrainingError
from recsys_spark.models import ease, gram
from recsys_spark.models.ease import Ease, EaseScorer, ease_weights
from recsys_spark.models.gram import gram_matrix
from recsys_spark.models.popularity import PopularityScorer
from recsys_spark.models.settings.ease import EaseSettings
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import Histories, Origin, UserBlock
from recsys_spark.recommend.recommendations import ListSettings, recommend, recommendation_users
from tests.matrices import MakeMatrix, all_scores

SCHEMA = "user_idx INT, item_idx INT, play_count BIGINT"


def closed_form(x: NDArray[np.float64], reg: float) -> NDArray[np.float64]:
    """Compute the weights as in the appendix of Steck 2019."""
    inverse = np.linalg.inv(x.T @ x + reg * np.eye(x.shape[1]))
    weights: NDArray[np.float64] = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def random_users(n_users: int, n_items: int, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return (rng.random((n_users, n_items)) < rng.random(n_items) * 0.5).astype(np.float64)


def interactions_of(spark: SparkSession, x: NDArray[np.float64], items: NDArray[np.int64] | None = None) -> DataFrame:
    """Return a pair for each 1, with different numbers of plays, which EASE ignores."""
    users, columns = np.nonzero(x)
    item_idx = columns if items is None else items[columns]
    return spark.createDataFrame([(int(u), int(i), 1 + int(u)) for u, i in zip(users, item_idx, strict=True)], SCHEMA)


def fitted(interactions: DataFrame, folder: Path, **settings: float) -> EaseScorer:
    kind = Ease(EaseSettings.model_validate(settings))
    matrix = kind.fit(interactions, folder, seed=1, parallelism=3).matrix
    assert isinstance(matrix, ItemMatrix)
    scorer = kind.scorer(matrix)
    assert isinstance(scorer, EaseScorer)
    return scorer


def block(*items: list[int]) -> UserBlock:
    flat = np.array([item for history in items for item in history], dtype=np.int32)
    return UserBlock(None, Histories(np.cumsum([0, *map(len, items)]), flat, np.ones(flat.size, dtype=np.float32)))


def scores_of(scorer: EaseScorer, users: UserBlock, n_items: int) -> NDArray[np.float32]:
    """Return the scores of all items; minus infinity for an item in no tile."""
    queries = scorer.encode(users)
    return all_scores(scorer.score(queries.values), n_items)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use small blocks and tiles, so that little data has several of them."""
    monkeypatch.setattr(ease, "TILE_ITEMS", 16)
    yield


@pytest.mark.parametrize("n_items", [2, 16, 17, 50])
def test_weights_are_the_closed_form(n_items: int) -> None:
    x = random_users(200, n_items)
    # Entries below the diagonal must be ignored.
    upper = np.triu(x.T @ x) + np.tril(np.full((n_items, n_items), 99.0), -1)
    weights = np.concatenate(list(ease_weights(upper, 30)))
    np.testing.assert_allclose(weights, closed_form(x, 30), atol=1e-6)
    assert weights.dtype == np.float32 and (np.diag(weights) == 0).all()


def test_fit_and_score_are_the_closed_form(spark: SparkSession, tmp_path: Path) -> None:
    """There are 60 items in 50 columns; the only user of item 59 plays no other item."""
    x = random_users(80, 50)
    items = np.sort(np.random.default_rng(1).permutation(59)[:50])
    alone = spark.createDataFrame([(500, 59, 7)], SCHEMA)
    scorer = fitted(interactions_of(spark, x, items).union(alone), tmp_path, reg=20)
    expected = closed_form(x, 20)
    np.testing.assert_allclose(scorer.matrix.rows(np.arange(50)), expected, atol=1e-5)
    histories = [items[np.flatnonzero(row)].tolist() for row in x]
    scores = scores_of(scorer, block(*histories), 60)
    np.testing.assert_allclose(scores[:, items], x @ expected, atol=1e-5)
    assert (np.delete(scores, items, axis=1) == -np.inf).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ease_items.npy", "items"]
    # Scores are bitwise equal in any block of users.
    np.testing.assert_array_equal(scores[7:8], scores_of(scorer, block(histories[7]), 60))
    np.testing.assert_array_equal(scores[3:20], scores_of(scorer, block(*histories[3:20]), 60))


@pytest.mark.parametrize("n_tasks", [1, 3])
def test_counts_do_not_depend_on_tasks_or_blocks(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_tasks: int
) -> None:
    monkeypatch.setattr(gram, "BLOCK_ITEMS", 7)
    x = random_users(60, 20)
    histories = [([int(i) for i in np.flatnonzero(row)],) for row in x]
    # More partitions than users leave some of them empty.
    spread = spark.createDataFrame(histories, "item_idx ARRAY<INT>").repartition(80 if n_tasks == 3 else 2)
    items = np.delete(np.arange(20, dtype=np.int32), [4, 19])
    counts = gram_matrix(spread, items, tmp_path / "gram", n_tasks)
    np.testing.assert_array_equal(np.triu(counts), np.triu(x[:, items].T @ x[:, items]))
    assert not (tmp_path / "gram").exists()


def test_users_without_items_of_the_model_are_left_out(spark: SparkSession, tmp_path: Path) -> None:
    scorer = fitted(interactions_of(spark, random_users(40, 12)), tmp_path)
    rows, values, origins = scorer.encode(block([], [3, 5], [-1, 99], [0, 1, 77]))
    assert rows.tolist() == [1, 3]
    assert values.toarray().nonzero()[1].tolist() == [3, 5, 0, 1]
    assert origins.tolist() == [Origin.MODEL, Origin.MODEL]
    assert scorer.fold_in == "forward"
    assert scorer.encode(block([], [40])).rows.size == 0


def test_checkerboard_lists_and_the_fallback(spark: SparkSession, tmp_path: Path, make_matrix: MakeMatrix) -> None:
    """Even users play even items except their own number; user 20 plays nothing, user 21 an item of its own."""
    x = np.add.outer(np.arange(20), np.arange(20)) % 2 == 0
    np.fill_diagonal(x, False)
    interactions = interactions_of(spark, x.astype(np.float64)).union(spark.createDataFrame([(21, 20, 1)], SCHEMA))
    scorer = fitted(interactions, tmp_path, reg=5)
    index = spark.createDataFrame([(f"u{u}", u) for u in range(22)], "user_id STRING, user_idx INT")
    weighted = Ease(EaseSettings()).with_confidence(interactions, tmp_path)
    users = recommendation_users(index, None, weighted)
    fallback = PopularityScorer(make_matrix(np.arange(1, 22, dtype=np.float32)[:, None]))
    lists = recommend(users, scorer, fallback, ListSettings(k=1)).collect()
    assert {row["user_idx"]: row["item_idx"] for row in lists} == {u: u for u in range(20)} | {20: 20, 21: 19}
    popular = {row["user_idx"] for row in lists if row["origin"] == "popular"}
    assert popular == {20, 21}


def test_too_many_items_are_refused_with_a_remedy(spark: SparkSession, tmp_path: Path) -> None:
    interactions = interactions_of(spark, random_users(40, 12))
    with pytest.raises(ConfigError, match=r"models\.ease\.max_items = 11: train als or mult_vae"):
        fitted(interactions, tmp_path, max_items=11)
    assert fitted(interactions, tmp_path, max_items=12).matrix.n_items == 12


@pytest.mark.parametrize("rows", [[], [(0, 0, 5)], [(0, 0, 1), (1, 0, 1), (2, 7, 1)]])
def test_items_without_common_users_are_refused(
    spark: SparkSession, tmp_path: Path, rows: list[tuple[int, int, int]]
) -> None:
    with pytest.raises(TrainingError, match="no user has two items"):
        fitted(spark.createDataFrame(rows, SCHEMA), tmp_path)


def test_one_user_with_two_items(spark: SparkSession, tmp_path: Path) -> None:
    scorer = fitted(spark.createDataFrame([(0, 3, 1), (0, 8, 1)], SCHEMA), tmp_path, reg=1)
    np.testing.assert_allclose(scorer.matrix.rows(np.arange(2)), [[0, 0.5], [0.5, 0]], atol=1e-7)


def test_training_again_gives_the_same_weights(spark: SparkSession, tmp_path: Path) -> None:
    x = random_users(60, 30)
    first = fitted(interactions_of(spark, x), tmp_path / "a")
    again = fitted(interactions_of(spark, x).repartition(5), tmp_path / "b")
    np.testing.assert_array_equal(first.items, again.items)
    every = np.arange(first.matrix.n_items)
    np.testing.assert_array_equal(first.matrix.rows(every), again.matrix.rows(every))
