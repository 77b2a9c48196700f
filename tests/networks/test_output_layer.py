"""Losses and their gradients against torch's autograd on dense matrices."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from recsys_spark.networks import output_layer
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.output_layer import bce_loss, masked_squared_error, multinomial_loss

LossFunction = Callable[[Tensor, Tensor, Tensor, Batch], Tensor]
N_COLUMNS, WIDTH = 23, 4


def rows_of(lengths: list[int], n_columns: int, seed: int = 0) -> Batch:
    """Build rows of these lengths, with unsorted entries of either sign; about every third row is padding."""
    rng = np.random.default_rng(seed)
    indices = [rng.permutation(n_columns)[:length] for length in lengths]
    indptr = np.cumsum([0, *lengths])
    batch = Batch.from_arrays(
        np.arange(len(lengths)), indptr, np.concatenate(indices), rng.normal(size=indptr[-1]), n_columns
    )
    batch.weights[1::3] = 0
    return batch


@pytest.fixture
def batch() -> Batch:
    """Build a batch of empty, full and single-entry rows, with weights one and zero."""
    return rows_of([5, 0, 0, N_COLUMNS, N_COLUMNS, 1, 2, 9], N_COLUMNS)


def layer_for(batch: Batch, width: int = WIDTH, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    shapes = ((len(batch), width), (batch.n_columns, width), (batch.n_columns,))
    hidden, weight, bias = (torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes)
    return hidden, weight, bias


def expected_loss(loss: LossFunction, hidden: Tensor, weight: Tensor, bias: Tensor, batch: Batch) -> Tensor:
    """Compute a loss by its published formula, on dense rows."""
    logits, target = hidden @ weight.T + bias, batch.dense().to(hidden.dtype)
    if loss is multinomial_loss:
        rows = -(target * functional.log_softmax(logits, dim=1)).sum(1)
    elif loss is bce_loss:
        rows = functional.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(1)
    else:
        stored = batch.with_values(torch.ones_like(batch.values)).dense()
        rows = ((logits - target).square() * stored).sum(1)
    return (rows * batch.weights).sum()


def assert_same(loss: LossFunction, batch: Batch, dtype: torch.dtype = torch.float32) -> None:
    layer = layer_for(batch, dtype=dtype)
    actual, expected = loss(*layer, batch), expected_loss(loss, *layer, batch)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
    assert actual.shape == ()
    # Divided by the number of rows, as in training, so that the incoming gradient is not one.
    gradients = torch.autograd.grad(actual / 7, layer), torch.autograd.grad(expected / 7, layer)
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


losses = pytest.mark.parametrize("loss", [multinomial_loss, bce_loss, masked_squared_error])


@losses
@pytest.mark.parametrize("budget", [2**25, 3 * N_COLUMNS, 3 * N_COLUMNS - 1, 1])
def test_equals_autograd_on_full_rows_in_any_number_of_blocks(
    loss: LossFunction, budget: int, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_layer, "BLOCK_FLOATS", budget)
    assert_same(loss, batch)


@losses
def test_is_as_precise_as_its_weights(loss: LossFunction, batch: Batch) -> None:
    assert_same(loss, batch, torch.float64)


@pytest.mark.parametrize("floats", [2**20, 5 * WIDTH, 1])
def test_products_of_entries_alone_equal_autograd_on_full_rows(
    floats: int, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_layer, "GATHERED_DENSITY", 1.1)
    monkeypatch.setattr(output_layer, "GATHERED_FLOATS", floats)
    assert_same(masked_squared_error, batch)


@losses
@pytest.mark.parametrize("density", [0.0, 1.1])
def test_batches_without_entries(loss: LossFunction, density: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_layer, "GATHERED_DENSITY", density)
    assert_same(loss, rows_of([0, 0, 0], 6))


@losses
def test_huge_logits_stay_finite(loss: LossFunction, batch: Batch) -> None:
    hidden, weight, bias = layer_for(batch)
    actual = loss(hidden * 1e3, weight, bias, batch)
    torch.testing.assert_close(actual, expected_loss(loss, hidden * 1e3, weight, bias, batch), rtol=1e-5, atol=0)
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(actual, (hidden, weight, bias)))


@losses
def test_is_the_same_without_gradients(loss: LossFunction, batch: Batch) -> None:
    layer = layer_for(batch)
    with torch.no_grad():
        torch.testing.assert_close(loss(*layer, batch), expected_loss(loss, *layer, batch), rtol=1e-5, atol=1e-5)


def test_squared_errors_stay_in_float32_under_autocast(batch: Batch) -> None:
    hidden, weight, bias = layer_for(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = masked_squared_error(hidden.bfloat16(), weight, bias, batch)
    expected = expected_loss(masked_squared_error, hidden.bfloat16().float(), weight, bias, batch)
    torch.testing.assert_close(actual, expected)
    assert torch.autograd.grad(actual, weight)[0].dtype == torch.float32


@pytest.mark.parametrize("loss", [multinomial_loss, bce_loss])
@pytest.mark.parametrize("budget", [2**25, 3 * N_COLUMNS])
def test_likelihoods_round_products_alone_under_autocast(
    loss: LossFunction, budget: int, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Products of rounded factors, then the loss of these logits in float32."""
    monkeypatch.setattr(output_layer, "BLOCK_FLOATS", budget)
    hidden, weight, bias = layer = layer_for(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = loss(hidden, weight, bias, batch)
    products = (hidden.bfloat16() @ weight.bfloat16().T).float()
    expected = expected_loss(loss, products, torch.eye(N_COLUMNS), bias, batch)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
    for gradient, other in zip(torch.autograd.grad(actual, layer), torch.autograd.grad(expected, layer), strict=True):
        assert gradient.dtype == torch.float32
        torch.testing.assert_close(gradient, other, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("loss", [multinomial_loss, bce_loss])
def test_blocks_of_a_batch_with_a_copy_on_the_host_are_the_same(
    loss: LossFunction, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_layer, "BLOCK_FLOATS", 3 * N_COLUMNS)
    layer, with_copy = layer_for(batch), replace(batch, host_indptr=batch.indptr.clone())
    assert torch.equal(loss(*layer, with_copy), loss(*layer, batch))


def test_differentiating_twice_is_refused(batch: Batch) -> None:
    layer = layer_for(batch)
    loss = multinomial_loss(*layer, batch)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="compute it again"):
        loss.backward()


class LargestTensor(TorchDispatchMode):
    """Recorder of the largest number of elements in a tensor returned by an operation."""

    numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self.numel = max(self.numel, *sizes, 0)
        return result


@losses
@pytest.mark.parametrize("density", [0.0, 0.03])
def test_memory_is_bounded_at_300_000_columns(
    loss: LossFunction, density: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten million logits are computed in blocks of at most two million; the weights have 600,000 floats."""
    monkeypatch.setattr(output_layer, "BLOCK_FLOATS", 2_000_000)
    monkeypatch.setattr(output_layer, "GATHERED_DENSITY", density)
    batch = rows_of([100] * 32, 300_000)
    hidden, weight, bias = layer_for(batch, width=2)
    with LargestTensor() as largest:
        (loss(hidden, weight, bias, batch) / 32).backward()
    gathered = loss is masked_squared_error and density > 0
    assert 300_000 <= largest.numel <= (weight.numel() if gathered else 2_000_000)


def test_products_of_entries_are_gathered_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without blocks there would be 8 floats for each of the 16,000 entries."""
    monkeypatch.setattr(output_layer, "GATHERED_DENSITY", 1.1)
    monkeypatch.setattr(output_layer, "GATHERED_FLOATS", 10_000)
    batch = rows_of([40] * 400, 50)
    hidden, weight, bias = layer_for(batch, width=8)
    with LargestTensor() as largest:
        masked_squared_error(hidden, weight, bias, batch).backward()
    assert largest.numel == batch.indices.numel()
