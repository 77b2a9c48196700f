"""Lists of dot products by descending norm against products with all items."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recsys_spark.core.errors import TrainingError
from recsys_spark.ranking import norm_order, products
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.products import dot_scores
from recsys_spark.ranking.scores import Scores, Tile, exclude_items, exclude_pairs
from recsys_spark.ranking.top_n import TopN, top_n

MakeMatrix = Callable[..., ItemMatrix]
Vectors = NDArray[np.float32]

FEW_VALUES = (-2.0, -1.0, 0.0, 0.0, 1.0, 2.0)


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use small tiles and a small head, so that little data leaves out rows."""
    monkeypatch.setattr(products, "FIRST_TILE_ITEMS", 8)
    monkeypatch.setattr(products, "TILE_SCORES", 128)
    monkeypatch.setattr(norm_order, "HEAD_BYTES", 400)


def plain_scores(matrix: ItemMatrix, queries: Vectors) -> Scores:
    """Return the scores of all items in their own order, nothing left out."""
    scores = dot_scores(matrix, queries)
    tile = Tile(0, queries @ matrix.whole().T)
    return exclude_items(Scores(len(queries), [tile], scores.refine, scores.error), matrix.norms() > 0)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Vectors, Vectors, np.random.Generator]:
    """Return vectors of items and of users: with ties, duplicates, zeros, biases, and norms of any spread."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_items, n_users, rank = draw(st.tuples(st.integers(1, 150), st.integers(1, 12), st.sampled_from([1, 2, 5, 33])))
    if draw(st.booleans()):
        items, users = (rng.choice(FEW_VALUES, size=(n, rank)) for n in (n_items, n_users))
    else:
        items, users = (rng.normal(size=(n, rank)) for n in (n_items, n_users))
    items *= 10 ** rng.uniform(-draw(st.sampled_from([0, 1, 6])), 0, size=(n_items, 1))
    if draw(st.booleans()):
        items = items[rng.integers(0, n_items, size=n_items)]
    if draw(st.booleans()):
        items[:, -1], users[:, -1] = rng.normal(draw(st.sampled_from([-9, 0, 9])), 1, size=n_items), 1
    items[rng.random(n_items) < draw(st.sampled_from([0, 0.3]))] = 0
    users[rng.random(n_users) < draw(st.sampled_from([0, 0.3]))] = 0
    return items.astype(np.float32), users.astype(np.float32), rng


def assert_equal(actual: TopN, expected: TopN) -> None:
    np.testing.assert_array_equal(actual.length, expected.length)
    filled = np.arange(actual.item_idx.shape[1]) < actual.length[:, None]
    np.testing.assert_array_equal(actual.item_idx[filled], expected.item_idx[filled])
    np.testing.assert_array_equal(actual.score[filled], expected.score[filled])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    problem=problems(), n=st.integers(1, 60), seen=st.sampled_from([0, 2, 40]), denied=st.sampled_from([0, 0.3, 0.95])
)
def test_lists_are_those_of_all_products(
    make_matrix: MakeMatrix,
    problem: tuple[Vectors, Vectors, np.random.Generator],
    n: int,
    seen: int,
    denied: float,
) -> None:
    items, users, rng = problem
    matrix = make_matrix(items, tile_items=37)
    allowed = rng.random(len(items)) >= denied
    rows = np.repeat(np.arange(len(users)), seen)
    # Some pairs are of items that are newer than the matrix.
    pairs = rng.integers(0, len(items) + 3, size=rows.size).astype(np.int32)

    def lists(scores: Scores) -> TopN:
        return top_n(exclude_pairs(exclude_items(scores, allowed), rows, pairs), n)

    assert_equal(lists(dot_scores(matrix, users)), lists(plain_scores(matrix, users)))


def counted(scores: Scores, counts: list[int]) -> Iterator[Tile]:
    for tile in scores.tiles:
        counts.append(tile.scores.size)
        yield tile


def long_tail(n_items: int, n_users: int) -> tuple[Vectors, Vectors]:
    rng = np.random.default_rng(0)
    items = rng.normal(size=(n_items, 8)) * (1 + np.arange(n_items))[:, None] ** -1.0
    return rng.permutation(items).astype(np.float32), rng.normal(size=(n_users, 8)).astype(np.float32)


def test_most_products_of_a_long_tail_are_left_out(make_matrix: MakeMatrix) -> None:
    items, users = long_tail(2000, 16)
    scores = dot_scores(make_matrix(items), users)
    counts: list[int] = []
    best = top_n(Scores(16, counted(scores, counts), scores.refine, scores.error, scores.order, scores.floors), 5)
    assert 0 < sum(counts) < 0.2 * items.size // 8 * len(users)
    assert_equal(best, top_n(plain_scores(make_matrix(items), users), 5))


def test_floors_come_from_allowed_items_alone(make_matrix: MakeMatrix) -> None:
    """The first tiles hold nothing but denied and seen items."""
    items, users = long_tail(300, 16)
    items, users = np.abs(items), np.abs(users)
    matrix = make_matrix(items)
    allowed = np.argsort(np.argsort(-matrix.norms())) >= 60
    seen = np.flatnonzero(np.argsort(np.argsort(-matrix.norms())) < 120)
    rows, pairs = np.repeat(np.arange(16), seen.size), np.tile(seen, 16)

    def lists(scores: Scores) -> TopN:
        return top_n(exclude_pairs(exclude_items(scores, allowed), rows, pairs), 7)

    best = lists(dot_scores(matrix, users))
    assert (best.length == 7).all()
    assert_equal(best, lists(plain_scores(matrix, users)))


def test_items_at_the_bound_of_a_floor_still_win_ties(make_matrix: MakeMatrix) -> None:
    """All scores are equal; the lowest items come last, and their scores equal the product of the norms."""
    items = np.full((200, 2), 2.0, np.float32)
    items[:, 1] = np.arange(200) // 30
    best = top_n(dot_scores(make_matrix(items), np.array([[1, 0], [2, 0]], np.float32)), 20)
    assert (best.item_idx == np.arange(20)).all()
    assert (best.score == [[2], [4]]).all()


def test_users_without_a_direction_get_the_lowest_items(make_matrix: MakeMatrix) -> None:
    items, _ = long_tail(400, 1)
    best = top_n(dot_scores(make_matrix(items), np.zeros((2, 8), np.float32)), 9)
    assert best.item_idx.tolist() == [list(range(9))] * 2 and not best.score.any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_queries_that_are_not_finite_are_refused(make_matrix: MakeMatrix, value: float) -> None:
    """Infinity meets coordinates of both signs or zero: a sum that is not a number."""
    items, users = long_tail(400, 5)
    items[:, 3] = 0
    users[2, 3] = value
    with pytest.raises(TrainingError, match="not numbers"), np.errstate(invalid="ignore"):
        top_n(dot_scores(make_matrix(items), users), 9)
