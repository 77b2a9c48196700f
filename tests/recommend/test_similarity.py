"""Nearest items, compared with all cosines in double precision."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.recommend.similarity import item_similarity

MakeMatrix = Callable[..., ItemMatrix]
Rows = list[tuple[int, int, int, float]]


def collect(spark: SparkSession, matrix: ItemMatrix, n: int, **options: int) -> Rows:
    return sorted(tuple(row) for row in item_similarity(spark, matrix, n, n_tasks=3, **options).collect())


def brute_force(vectors: NDArray[np.float32], n: int) -> Rows:
    """Compute the nearest items in double precision; cosines tie when equal as float32."""
    exact = vectors.astype(np.float64)
    norms = np.linalg.norm(exact, axis=1)
    rows: Rows = []
    for item in np.flatnonzero(norms):
        others = [other for other in np.flatnonzero(norms) if other != item]
        cosines = (exact[others] @ exact[item] / (norms[item] * norms[others])).astype(np.float32)
        nearest = sorted(zip((-cosines).tolist(), others, strict=True))[:n]
        rows += [(int(item), place + 1, int(o), -c) for place, (c, o) in enumerate(nearest)]
    return rows


@pytest.fixture
def vectors() -> NDArray[np.float32]:
    """Return 130 items with zero vectors, exact duplicates, multiples and opposites among them."""
    vectors = np.random.default_rng(0).normal(size=(130, 8)).astype(np.float32)
    vectors[[0, 64, 129]] = 0
    vectors[20:40] = vectors[10]
    vectors[50] = 4 * vectors[10]
    vectors[51] = -vectors[10]
    return vectors


def assert_same(actual: Rows, expected: Rows) -> None:
    assert [row[:3] for row in actual] == [row[:3] for row in expected]
    np.testing.assert_allclose([row[3] for row in actual], [row[3] for row in expected], atol=1e-6)


@pytest.mark.parametrize("tile_items", [16, 4096])
@pytest.mark.parametrize("block_items", [7, 512])
def test_equals_brute_force(
    spark: SparkSession,
    make_matrix: MakeMatrix,
    vectors: NDArray[np.float32],
    tile_items: int,
    block_items: int,
) -> None:
    actual = collect(spark, make_matrix(vectors, tile_items), 10, block_items=block_items)
    assert_same(actual, brute_force(vectors, 10))


def test_more_neighbours_than_items(spark: SparkSession, make_matrix: MakeMatrix, vectors: NDArray[np.float32]) -> None:
    actual = collect(spark, make_matrix(vectors), 1000)
    assert_same(actual, brute_force(vectors, 1000))
    assert len(actual) == 127 * 126


def test_duplicates_have_cosine_one_and_none_exceeds_it(
    spark: SparkSession, make_matrix: MakeMatrix, vectors: NDArray[np.float32]
) -> None:
    rows = collect(spark, make_matrix(vectors), 21)
    assert [(row[2], row[3]) for row in rows if row[0] == 10] == [(i, 1.0) for i in [*range(20, 40), 50]]
    assert max(abs(row[3]) for row in rows) == 1.0


def test_columns(spark: SparkSession, make_matrix: MakeMatrix, vectors: NDArray[np.float32]) -> None:
    assert item_similarity(spark, make_matrix(vectors), 1, 1).dtypes == [
        ("item_idx", "int"),
        ("position", "int"),
        ("similar_item_idx", "int"),
        ("similarity", "double"),
    ]
