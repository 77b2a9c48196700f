"""Products: exact scores independent of blocking, and tiles within their error."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.products import cosine_scores, dot_scores
from recsys_spark.ranking.scores import Scores
from recsys_spark.ranking.top_n import top_n
from tests.matrices import all_scores

ScoreFunction = Callable[[ItemMatrix, NDArray[np.float32]], Scores]
MakeMatrix = Callable[..., ItemMatrix]


def vectors_of(n_items: int, rank: int, seed: int = 0) -> NDArray[np.float32]:
    """Return vectors of very different lengths, every seventh zero."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n_items, rank)) * 10 ** rng.uniform(-3, 3, size=(n_items, 1))
    vectors[::7] = 0
    return vectors.astype(np.float32)


@pytest.mark.parametrize("score", [dot_scores, cosine_scores])
@pytest.mark.parametrize("rank", [1, 3, 64, 200])
def test_tiles_are_within_their_error_of_exact_scores(make_matrix: MakeMatrix, score: ScoreFunction, rank: int) -> None:
    vectors = vectors_of(3000, rank)
    queries = vectors_of(40, rank, seed=1)[1:7]
    scores = score(make_matrix(vectors, tile_items=1500), queries)
    tiles = all_scores(scores, len(vectors))
    has_vector = vectors.any(axis=1)
    assert (tiles[:, ~has_vector] == -np.inf).all()
    exact = queries.astype(np.float64) @ vectors.T.astype(np.float64)
    if score is cosine_scores:
        with np.errstate(invalid="ignore"):
            exact /= np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(vectors.astype(np.float64), axis=1)
    rows, items = (places.ravel() for places in np.indices(exact.shape))
    with_vector = has_vector[items]
    rows, items = rows[with_vector], items[with_vector].astype(np.int32)
    assert scores.refine is not None
    refined = scores.refine(rows, items)
    np.testing.assert_allclose(refined, exact[rows, items], rtol=1e-6)
    error = np.broadcast_to(scores.error, len(queries))
    assert (np.abs(tiles[rows, items] - refined) <= error[rows]).all()


def test_equal_vectors_tie_at_any_place(make_matrix: MakeMatrix) -> None:
    """A float32 product alone gives them scores that differ in the last bit."""
    vectors = np.tile(np.random.default_rng(0).normal(size=(1, 64)).astype(np.float32), (1500, 1))
    queries = np.random.default_rng(1).normal(size=(37, 64)).astype(np.float32)
    best = top_n(dot_scores(make_matrix(vectors), queries), 40)
    assert (best.item_idx == np.arange(40)).all()
    assert (best.score == best.score[:, :1]).all()


@pytest.mark.parametrize("score", [dot_scores, cosine_scores])
def test_lists_do_not_depend_on_blocks_or_tiles(make_matrix: MakeMatrix, score: ScoreFunction) -> None:
    vectors = vectors_of(2000, 33)
    queries = np.random.default_rng(1).normal(size=(90, 33)).astype(np.float32)
    whole = top_n(score(make_matrix(vectors), queries), 25)
    small_tiles = make_matrix(vectors, tile_items=333)
    for first in range(0, 90, 13):
        part = top_n(score(small_tiles, queries[first : first + 13]), 25)
        np.testing.assert_array_equal(part.item_idx, whole.item_idx[first : first + 13])
        np.testing.assert_array_equal(part.score, whole.score[first : first + 13])
