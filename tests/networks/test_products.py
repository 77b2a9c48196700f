"""Products of output layers, and sums, with and without rounding."""

import pytest
import torch

from recsys_spark.networks.products import OutputProducts, RoundedProducts, is_rounding, weighted_sum

CPU = torch.device("cpu")


def factors() -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    return torch.randn(7, 4), torch.randn(7), torch.randn(5, 4), torch.randn(5, 7)


@pytest.mark.parametrize("rounds", [False, True])
def test_products_are_those_of_their_factors(rounds: bool) -> None:
    """Rounded products are close to the exact ones, and differ from them."""
    weight, bias, hidden, derivative = factors()
    products = (RoundedProducts if rounds else OutputProducts)(weight, bias)
    into, gradient = torch.empty(5, 4), torch.ones(7, 4)
    found = [products.logits(hidden), products.hidden_gradient(derivative, out=into)]
    products.add_weight_gradient(gradient, derivative, hidden)
    expected = [hidden @ weight.T + bias, derivative @ weight]
    for one, other in zip([*found, gradient], [*expected, 1 + derivative.T @ hidden], strict=True):
        torch.testing.assert_close(one, other, rtol=0.03 if rounds else 1e-6, atol=0.05 if rounds else 1e-6)
        assert one.dtype == torch.float32
        assert not (rounds and torch.allclose(one, other, rtol=1e-4))
    assert found[1] is into


def test_weighted_sums_are_not_rounded_under_autocast() -> None:
    values, weights = torch.full((300,), 1 / 3), torch.ones(300)
    with torch.autocast("cpu", torch.bfloat16):
        assert is_rounding(CPU)
        assert (values @ weights).dtype == torch.bfloat16
        assert weighted_sum(values, weights).item() == pytest.approx(100, rel=1e-6)
    assert not is_rounding(CPU)
