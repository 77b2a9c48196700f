"""Sums over shared users in blocks, compared with the whole product."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from scipy import sparse

from recsys_spark.ranking import pair_products
from recsys_spark.ranking.pair_products import block_width, item_products, sum_products


@pytest.fixture
def weights() -> NDArray[np.float64]:
    """Return weights of 40 users and 11 items; the last item has no user."""
    rng = np.random.default_rng(0)
    weights = rng.random((40, 11)) * (rng.random((40, 11)) < 0.3)
    weights[:, 10] = 0
    return weights


def summed(weights: NDArray[np.float64], parts: list[int], reverse: bool) -> tuple[NDArray[np.float64], ...]:
    """Return sums and counts of all pairs from users in several parts."""
    bounds = [*parts, len(weights)]
    rows = [
        batch
        for first, last in pairwise(bounds)
        for batch in item_products(sparse.csr_matrix(weights[first:last]), first)
    ]
    n_items, n_blocks = weights.shape[1], -(-weights.shape[1] // block_width(weights.shape[1]))
    sums, users = np.zeros((n_items, n_items)), np.zeros((n_items, n_items))
    table = pa.Table.from_batches(rows[::-1] if reverse else rows)
    for number in range(n_blocks):
        of_block = table.filter(pa.array([value == number for value in table["block"].to_pylist()]))
        if len(of_block):
            block = sum_products(of_block, n_items)
            sums[block.first : block.first + len(block.sums)] = block.sums
            users[block.first : block.first + len(block.users)] = block.users
    return sums, users


@pytest.mark.parametrize("entries", [1, 33, 1 << 20])
def test_blocks_of_any_width_have_the_sums_of_the_whole_product(
    weights: NDArray[np.float64], entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_products, "BLOCK_ENTRIES", entries)
    sums, users = summed(weights, [0, 7, 30], reverse=False)
    np.testing.assert_allclose(sums, weights.T @ weights, rtol=1e-14)
    pattern = (weights > 0).astype(int)
    np.testing.assert_array_equal(users, pattern.T @ pattern)


def test_sums_do_not_depend_on_the_order_of_the_rows(weights: NDArray[np.float64]) -> None:
    first, second = (summed(weights, [0, 3, 7, 21, 30], reverse)[0] for reverse in (False, True))
    assert first.tobytes() == second.tobytes()


def test_a_block_has_at_least_one_item() -> None:
    assert [block_width(n) for n in (1, 2048, 10**7)] == [1024, 512, 1]
