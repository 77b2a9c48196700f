"""Recommendations for one list of items: by the model, else the nearest, else the popular."""

import numpy as np
import pytest
from numpy.typing import NDArray

from recsys_spark.models.popularity import PopularityScorer
from recsys_spark.ranking.dot_scorer import DotScorer
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import FoldIn, Histories
from recsys_spark.recommend.one_list import GivenItems, best_list
from recsys_spark.recommend.recommendations import ListSettings
from recsys_spark.recommend.similarity import nearest_to_all
from tests.matrices import MakeMatrix

ALL = ListSettings(k=3)


class Sum:
    """Fold-in of a history as the sum of its vectors."""

    fold_in: FoldIn = "solve"

    def __call__(self, matrix: ItemMatrix, histories: Histories) -> NDArray[np.float32]:
        known = histories.item_idx[histories.item_idx < matrix.n_items]
        return matrix.rows(known).sum(axis=0, keepdims=True)


@pytest.fixture
def vectors() -> NDArray[np.float32]:
    """Return items 0-9 in directions 20 degrees apart, of growing length; item 10 has no vector."""
    angles = np.deg2rad(20 * np.arange(11))
    lengths = np.append(np.arange(1, 11), 0)
    return (lengths[:, None] * np.column_stack([np.cos(angles), np.sin(angles)])).astype(np.float32)


def given_items(*items: int) -> GivenItems:
    numbers = np.array(items, dtype=np.int32)
    return GivenItems(numbers, numbers, np.ones(numbers.size, dtype=np.float32))


def test_model_with_fold_in_makes_the_list(make_matrix: MakeMatrix, vectors: NDArray[np.float32]) -> None:
    matrix, popular = make_matrix(vectors, 4), PopularityScorer(make_matrix(np.arange(12.0)[:, None]))
    found = best_list(DotScorer(matrix, Sum()), matrix, lambda: popular, given_items(0, 1), ALL)
    assert (found.source, found.item_idx.tolist()) == ("model", [3, 2, 4])


def test_without_fold_in_the_nearest_items_are_listed(make_matrix: MakeMatrix, vectors: NDArray[np.float32]) -> None:
    matrix, popular = make_matrix(vectors, 4), PopularityScorer(make_matrix(np.arange(12.0)[:, None]))
    found = best_list(DotScorer(matrix), matrix, lambda: popular, given_items(0, 2, 10), ALL)
    assert (found.source, found.item_idx.tolist()) == ("nearest", [1, 3, 4])
    np.testing.assert_allclose(found.score, np.cos(np.deg2rad([0, 40, 60])), rtol=1e-6)


def test_popular_items_are_the_last_resort(make_matrix: MakeMatrix, vectors: NDArray[np.float32]) -> None:
    matrix, popular = make_matrix(vectors, 4), PopularityScorer(make_matrix(np.arange(12.0)[:, None]))
    for without in (matrix, None):
        found = best_list(DotScorer(matrix), without, lambda: popular, given_items(10, 11), ALL)
        assert (found.source, found.item_idx.tolist()) == ("popular", [9, 8, 7])
    assert best_list(popular, None, lambda: popular, given_items(3), ALL).source == "popular"


def test_nearest_to_all_equals_brute_force(make_matrix: MakeMatrix) -> None:
    vectors = np.random.default_rng(4).normal(size=(50, 5)).astype(np.float32)
    vectors[20] = 0
    allowed = np.arange(50) % 7 != 3
    given = np.array([8, 20, 31, 49], dtype=np.int32)
    item_idx, cosine = nearest_to_all(make_matrix(vectors, 16), given, 10, allowed)
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    mean = (vectors / lengths)[given].sum(axis=0)
    expected = (vectors / lengths) @ (mean / np.linalg.norm(mean))
    expected[[*given, *np.flatnonzero(~allowed)]] = -np.inf
    best = np.argsort(-expected, kind="stable")[:10]
    assert item_idx.tolist() == best.tolist()
    np.testing.assert_allclose(cosine, expected[best], rtol=1e-5)


def test_opposite_items_have_no_common_direction(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(np.array([[1.0, 0.0], [-2.0, 0.0], [0.0, 1.0]]))
    assert nearest_to_all(matrix, np.array([0, 1], dtype=np.int32), 3)[0].size == 0
