"""Order of items by norm."""

from collections.abc import Callable

import numpy as np
import pytest

from recsys_spark.ranking import norm_order
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.norm_order import NormOrder

MakeMatrix = Callable[..., ItemMatrix]


def test_items_come_by_descending_norm_then_item_and_those_without_a_vector_last(make_matrix: MakeMatrix) -> None:
    order = NormOrder(make_matrix(np.array([[3.0, 4.0], [0, 0], [0, 9], [5, 0], [0, 0], [-4, 3]]), tile_items=4))
    assert order.item_idx.tolist() == [2, 0, 3, 5]
    assert order.norms.tolist() == [9, 5, 5, 5]
    assert order.position.tolist() == [1, 4, 0, 2, 4, 3]


@pytest.mark.parametrize("head_items", [0, 3, 100])
def test_vectors_come_from_the_head_or_from_tiles(
    make_matrix: MakeMatrix, monkeypatch: pytest.MonkeyPatch, head_items: int
) -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    vectors[7] = 0
    monkeypatch.setattr(norm_order, "HEAD_BYTES", head_items * 6 * 4)
    order = NormOrder(make_matrix(vectors, tile_items=8))
    assert len(order) == 19
    for first, stop in [(0, 2), (0, 3), (2, 9), (10, 19), (5, 5)]:
        np.testing.assert_array_equal(order.vectors(first, stop), vectors[order.item_idx[first:stop]])
    for item_idx in (order.item_idx[:2], order.item_idx[::-1], np.array([7, 7, 0], np.int32), np.empty(0, np.int32)):
        np.testing.assert_array_equal(order.vectors_of(item_idx), vectors[item_idx])


def test_items_above_a_norm_are_counted(make_matrix: MakeMatrix) -> None:
    order = NormOrder(make_matrix(np.array([[1.0], [0.0], [-4.0], [2.0], [2.0]])))
    limits = np.array([-np.inf, 0, 1, 1.5, 2, 3.9, 4, np.inf, np.nan])
    assert order.count_above(limits).tolist() == [4, 4, 3, 3, 1, 1, 0, 0, 4]
