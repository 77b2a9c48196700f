"""Matrix products of the layers: in float32, or with factors rounded to bfloat16 under autocast.

bfloat16 has the range of float32 and 8 bits of precision. A GPU multiplies such factors several times faster than
TensorFloat-32 and adds the products up in float32. Rounded are the factors alone: weights, gradients of weights and
losses stay float32. Autocast would also round losses, because it takes a sum of products for a matrix product, and run
recurrent layers in float16, whose gradients underflow; `weighted_sum` and `without_autocast` prevent both.
"""

import torch
from torch import Tensor

__all__ = ["OutputProducts", "RoundedProducts", "is_rounding", "weighted_sum", "without_autocast"]


def is_rounding(device: torch.device) -> bool:
    """Return True within an autocast context of this kind of device."""
    return torch.is_autocast_enabled(device.type)


def without_autocast(device: torch.device) -> torch.autocast:
    """Return a context in which operations keep the type of their arguments."""
    return torch.autocast(device.type, enabled=False)


def weighted_sum(values: Tensor, weights: Tensor) -> Tensor:
    """Return values @ weights, (n,) each, in the type of `weights`, also under autocast."""
    with without_autocast(values.device):
        return values.to(weights.dtype) @ weights


class OutputProducts:
    """Products of an output layer and of its gradients, in the type of its weights.

    `weight` is (n_columns, h), `bias` (n_columns,), hidden rows are (n, h), logits and derivatives (n, n_columns).
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight, self.bias = weight, bias

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits of hidden rows."""
        return torch.addmm(self.bias, hidden, self.weight.T)

    def hidden_gradient(self, derivative: Tensor, out: Tensor) -> Tensor:
        """Write the gradient of the hidden rows into `out` and return it."""
        return torch.mm(derivative, self.weight, out=out)

    def add_weight_gradient(self, gradient: Tensor, derivative: Tensor, hidden: Tensor) -> None:
        """Add the gradient of the weights to `gradient`, (n_columns, h)."""
        gradient.addmm_(derivative.T, hidden)


class RoundedProducts(OutputProducts):
    """The same products with factors rounded to bfloat16, added up in float32."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__(weight, bias)
        self._rounded = weight.bfloat16()

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits of hidden rows."""
        return (hidden.bfloat16() @ self._rounded.T).to(self.weight.dtype).add_(self.bias)

    def hidden_gradient(self, derivative: Tensor, out: Tensor) -> Tensor:
        """Write the gradient of the hidden rows into `out` and return it."""
        return out.copy_(derivative.bfloat16() @ self._rounded)

    def add_weight_gradient(self, gradient: Tensor, derivative: Tensor, hidden: Tensor) -> None:
        """Add the gradient of the weights to `gradient`, (n_columns, h)."""
        gradient.add_(derivative.bfloat16().T @ hidden.bfloat16())
