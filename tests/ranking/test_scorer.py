"""Scorers with trained vectors, new histories, and users without either."""

import pickle
from collections.abc import Callable

import numpy as np
import pytest

from recsys_spark.models.als_fold_in import AlsFoldIn
from recsys_spark.models.block_als.objective import Objective
from recsys_spark.models.fold_in import fold_in_explicit, fold_in_implicit
from recsys_spark.models.popularity import GroupPopularityScorer, PopularityScorer
from recsys_spark.ranking.dot_scorer import DotScorer, ExtendedScorer
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import Histories, Origin, ProductScorer, UserBlock
from recsys_spark.ranking.top_n import top_n

MakeMatrix = Callable[..., ItemMatrix]


def histories(*items: list[int]) -> Histories:
    indptr = np.cumsum([0, *map(len, items)])
    flat = np.array([item for history in items for item in history], dtype=np.int32)
    return Histories(indptr, flat, np.ones(flat.size, dtype=np.float32))


def test_taking_users_takes_their_histories() -> None:
    taken = histories([5, 6], [], [7], [1, 2, 3]).take(np.array([3, 1, 0]))
    assert taken.indptr.tolist() == [0, 3, 3, 5]
    assert taken.item_idx.tolist() == [1, 2, 3, 5, 6]
    assert taken.rows().tolist() == [0, 0, 0, 2, 2]
    assert len(taken.take(np.array([], dtype=np.intp))) == 0


@pytest.fixture
def matrix(make_matrix: MakeMatrix) -> ItemMatrix:
    vectors = np.random.default_rng(0).normal(size=(10, 3))
    vectors[4] = 0
    return make_matrix(vectors, tile_items=4)


@pytest.mark.parametrize("implicit", [True, False])
def test_fold_in_uses_only_items_of_the_model(matrix: ItemMatrix, implicit: bool) -> None:
    """Items newer than the model and items without a vector have no effect."""
    encoder = AlsFoldIn(Objective(0.1, 2.0, implicit))
    actual = encoder(matrix, histories([1, 4, 7, 30], [30], [], [9]))
    items = matrix.rows(np.arange(10))
    in_model = (np.array([0, 2, 2, 2, 3]), np.array([1, 7, 9]), np.ones(3))
    if implicit:
        expected = fold_in_implicit(items, items.T @ items, *in_model, Objective(0.1, 2.0, implicit), len(items))
    else:
        expected = fold_in_explicit(items, *in_model, Objective(0.1, 2.0, implicit))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_queries_and_origins_of_users(matrix: ItemMatrix) -> None:
    """Users: trained, trained to zero, new with items of the model, new with other items, without history."""
    vectors = np.zeros((5, 3), dtype=np.float32)
    vectors[0] = [1, 2, 3]
    block = UserBlock(vectors, histories([0], [], [1, 2], [30], []))
    scorer = DotScorer(matrix, AlsFoldIn(Objective(0.1, 2.0, implicit=True)))
    rows, values, origins = scorer.encode(block)
    assert rows.tolist() == [0, 2]
    assert origins.tolist() == [Origin.MODEL, Origin.FOLD_IN]
    np.testing.assert_array_equal(values[0], [1, 2, 3])
    assert DotScorer(matrix).encode(block).rows.tolist() == [0]
    assert PopularityScorer(matrix).encode(block).origins.tolist() == [Origin.POPULAR] * 5
    assert (scorer.fold_in, DotScorer(matrix).fold_in) == ("solve", "none")
    # Folded-in vectors do not overwrite those of the block.
    assert not vectors[2].any()


def test_each_group_has_its_own_list(make_matrix: MakeMatrix) -> None:
    """Column 0 counts all users; item 4 has no plays."""
    counts = np.array([[9, 0, 1], [8, 3, 0], [7, 2, 0], [6, 2, 5], [0, 0, 0]], dtype=np.float32)
    scorer = GroupPopularityScorer(make_matrix(counts, tile_items=2))
    block = UserBlock(None, histories([], [3], [], []), np.array([2, 0, 1, 2]))
    rows, groups, origins = scorer.encode(block.take(np.array([0, 1, 2])))
    assert (rows.tolist(), groups.tolist(), set(origins)) == ([0, 1, 2], [2, 0, 1], {Origin.POPULAR})
    best = top_n(scorer.score(groups), 5)
    assert best.length.tolist() == [4, 4, 4]
    assert best.item_idx[:, :4].tolist() == [[3, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 0]]
    assert scorer.encode(UserBlock(None, histories([], []))).values.tolist() == [0, 0]


def test_an_extended_scorer_encodes_as_its_base_and_scores_more_items(
    matrix: ItemMatrix, make_matrix: MakeMatrix
) -> None:
    more = make_matrix(np.vstack([matrix.whole(), [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]]))
    base = DotScorer(matrix, AlsFoldIn(Objective(0.1, 2.0, implicit=True)))
    assert isinstance(base, ProductScorer) and not isinstance(PopularityScorer(matrix), ProductScorer)
    scorer = ExtendedScorer(base, more)
    block = UserBlock(None, histories([1, 2], [10], [7]))
    expected, found = base.encode(block), scorer.encode(block)
    assert found.rows.tolist() == expected.rows.tolist() == [0, 2]
    np.testing.assert_array_equal(found.values, expected.values)
    best = top_n(scorer.score(found.values), 12)
    assert best.length.tolist() == [10, 10] and scorer.fold_in == "solve"
    products = found.values @ more.whole().T
    for row in range(2):
        np.testing.assert_allclose(best.score[row, :10], products[row, best.item_idx[row, :10]], rtol=1e-4)
        assert 10 in best.item_idx[row, :10] and 11 not in best.item_idx[row, :10]


def test_scorers_are_small_to_send(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(np.ones((50_000, 8)))
    scorer = DotScorer(matrix, AlsFoldIn(Objective(0.1, 2.0, implicit=True)))
    scorer.encode(UserBlock(None, histories([1, 2])))
    assert len(pickle.dumps(scorer)) < 2000
