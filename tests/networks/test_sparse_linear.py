"""Sparse first layer against the same product of dense rows."""

import numpy as np
import pytest
import torch

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.sparse_linear import SparseLinear, drop_entries, unit_rows


@pytest.fixture
def batch() -> Batch:
    """Build a batch with unsorted entries, empty rows, a negative value and a stored zero."""
    indptr, indices = np.array([0, 3, 3, 7, 7]), np.array([4, 0, 2, 3, 1, 0, 4])
    return Batch.from_arrays(np.arange(4), indptr, indices, np.array([1, 2, -0.5, 0, 3, 1, 1]), 5)


@pytest.mark.parametrize("bias", [True, False])
def test_equals_the_product_of_full_rows_and_so_do_its_gradients(batch: Batch, bias: bool) -> None:
    layer = SparseLinear(5, 3, bias=bias)
    if layer.bias is not None:
        torch.nn.init.normal_(layer.bias)
    outer = torch.randn(4, 3)
    full = batch.dense() @ layer.weight + (layer.bias if layer.bias is not None else 0)
    expected = torch.autograd.grad((full * outer).sum(), list(layer.parameters()))
    for product in (layer(batch), layer.dense(batch.dense())):
        torch.testing.assert_close(product, full)
        actual = torch.autograd.grad((product * outer).sum(), list(layer.parameters()))
        torch.testing.assert_close(actual, expected)


def test_rows_without_entries_give_the_bias() -> None:
    layer = SparseLinear(5, 3)
    layer.load_state_dict({"weight": layer.weight, "bias": torch.tensor([1.0, -2, 3])})
    nothing = Batch.from_arrays(np.arange(0), np.arange(1), np.arange(0), np.arange(0.0), 5)
    assert layer(nothing).tolist() == [[1, -2, 3]]


def test_first_weights_fill_the_range_of_glorot() -> None:
    weight = SparseLinear(1000, 200).weight
    assert weight.abs().max().item() == pytest.approx((6 / 1200) ** 0.5, rel=1e-3)
    assert weight.std().item() == pytest.approx((2 / 1200) ** 0.5, rel=0.02)
    assert SparseLinear(1000, 200, fan_in=50).weight.std().item() == pytest.approx((2 / 250) ** 0.5, rel=0.02)


def test_wide_rows_are_not_made_dense() -> None:
    """A batch of a billion columns is not made dense."""
    layer = SparseLinear(4, 2, bias=False)
    batch = Batch.from_arrays(np.arange(2), np.array([0, 1, 2]), np.array([1, 3]), np.ones(2), 10**9)
    torch.testing.assert_close(layer(batch), layer.weight[[1, 3]])


def test_unit_rows_have_length_one_and_the_same_direction(batch: Batch) -> None:
    actual, full = unit_rows(batch).dense(), batch.dense()
    torch.testing.assert_close(actual.norm(dim=1), torch.tensor([1.0, 0, 1, 0]))
    torch.testing.assert_close(actual * full.norm(dim=1, keepdim=True), full)


def test_rows_of_stored_zeros_stay_zero() -> None:
    zeros = Batch.from_arrays(np.arange(1), np.array([0, 2]), np.array([0, 1]), np.zeros(2), 3)
    assert unit_rows(zeros).values.tolist() == [0, 0]


def test_dropped_entries_are_zero_and_the_others_are_scaled_up() -> None:
    n = 20_000
    batch = Batch.from_arrays(np.arange(1), np.array([0, n]), np.arange(n), np.full(n, 3.0), n)
    torch.manual_seed(0)
    values = drop_entries(batch, 0.25, training=True).values
    assert values.unique().tolist() == [0, 4]
    assert (values == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert drop_entries(batch, 0.25, training=False).values is batch.values
