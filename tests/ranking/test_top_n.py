"""Top-N lists against sorting every row in full."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recsys_spark.core.errors import TrainingError
from recsys_spark.ranking.scores import Scores, Tile, exclude_items, exclude_pairs
from recsys_spark.ranking.top_n import TopN, top_n


def in_tiles(matrix: NDArray[np.float32], width: int) -> Iterator[Tile]:
    buffer = np.empty(matrix.shape, dtype=np.float32)
    for first in range(0, matrix.shape[1], width):
        part = matrix[:, first : first + width]
        # Scorers reuse the memory of a tile as well.
        tile = buffer.ravel()[: part.size].reshape(part.shape)
        tile[:] = part
        yield Tile(first, tile)


def brute_force(matrix: NDArray[np.float32], n: int) -> list[list[tuple[int, float]]]:
    return [
        sorted(((i, float(s)) for i, s in enumerate(row) if s > -np.inf), key=lambda pair: (-pair[1], pair[0]))[:n]
        for row in matrix
    ]


def as_lists(best: TopN) -> list[list[tuple[int, float]]]:
    return [
        list(zip(items[:length].tolist(), scores[:length].tolist(), strict=True))
        for items, scores, length in zip(best.item_idx, best.score, best.length, strict=True)
    ]


@st.composite
def matrices(draw: st.DrawFn) -> NDArray[np.float32]:
    """Return scores of few different values, so that most tie, with excluded ones among them."""
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 80)))
    values = draw(st.lists(st.sampled_from([-np.inf, -2.5, 0.0, 1.0, 1.5, 3.0]), min_size=1, max_size=6))
    seed = draw(st.integers(0, 2**32 - 1))
    return np.random.default_rng(seed).choice(values, size=shape).astype(np.float32)


@settings(max_examples=300, deadline=None)
@given(matrix=matrices(), n=st.integers(1, 30), width=st.integers(1, 90))
def test_equals_brute_force_with_ties(matrix: NDArray[np.float32], n: int, width: int) -> None:
    best = top_n(Scores(len(matrix), in_tiles(matrix, width)), n)
    assert as_lists(best) == brute_force(matrix, n)


@settings(max_examples=300, deadline=None)
@given(matrix=matrices(), n=st.integers(1, 12), width=st.integers(1, 40), seed=st.integers(0, 1000))
def test_exact_scores_decide(matrix: NDArray[np.float32], n: int, width: int, seed: int) -> None:
    """Tiles with errors up to their limit still lead to the exact list."""
    noise = np.random.default_rng(seed).uniform(-0.7, 0.7, size=matrix.shape).astype(np.float32)
    scores = Scores(
        len(matrix),
        in_tiles(matrix + noise, width),
        refine=lambda rows, item_idx: matrix[rows, item_idx],
        error=np.full(len(matrix), 0.7, dtype=np.float32),
    )
    assert as_lists(top_n(scores, n)) == brute_force(matrix, n)


@pytest.mark.parametrize("order", ["ascending", "descending", "shuffled"])
def test_order_of_scores_does_not_matter(order: str) -> None:
    row = np.arange(5000, dtype=np.float32)
    row = {"ascending": row, "descending": row[::-1], "shuffled": np.random.default_rng(0).permutation(row)}[order]
    matrix = np.stack([row, -row])
    assert as_lists(top_n(Scores(2, in_tiles(matrix, 64)), 50)) == brute_force(matrix, 50)


def test_many_ties_do_not_fill_the_memory() -> None:
    """All scores are equal within their error: the shortlist is reduced before the last tile."""
    matrix = np.zeros((2, 20_000), dtype=np.float32)
    longest = 0

    def refine(rows: NDArray[np.intp], item_idx: NDArray[np.int32]) -> NDArray[np.float32]:
        nonlocal longest
        longest = max(longest, rows.size)
        return (item_idx % 7).astype(np.float32)

    best = top_n(Scores(2, in_tiles(matrix, 100), refine, error=7.0), 5)
    assert best.item_idx.tolist() == [[6, 13, 20, 27, 34]] * 2
    assert longest <= 2 * (3 * 5 + 100)


@pytest.mark.parametrize("place", [0, 63, 64, 199])
def test_scores_that_are_not_numbers_are_refused(place: int) -> None:
    matrix = np.random.default_rng(0).normal(size=(3, 200)).astype(np.float32)
    matrix[1, place] = np.nan
    with pytest.raises(TrainingError, match="reg_param"):
        top_n(Scores(3, in_tiles(matrix, 64)), 10)


def test_no_items_at_all() -> None:
    assert top_n(Scores(2, iter(())), 3).length.tolist() == [0, 0]


def test_excluded_items_and_pairs_never_appear() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(4, 100)).astype(np.float32)
    allowed = rng.random(100) < 0.5
    rows, items = rng.integers(0, 4, 150), rng.integers(0, 100, 150)
    expected = np.where(allowed, matrix, -np.inf)
    expected[rows, items] = -np.inf
    scores = exclude_pairs(exclude_items(Scores(4, in_tiles(matrix, 17)), allowed), rows, items)
    assert as_lists(top_n(scores, 100)) == brute_force(expected, 100)
