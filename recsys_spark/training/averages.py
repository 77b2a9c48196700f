"""A running average of the weights, which often predicts better than the last ones (Polyak and Juditsky 1992)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["RunningAverage"]


class RunningAverage:
    """The average of a module's parameters with a decay a step; without a decay, the parameters themselves."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.parameters = dict(module.named_parameters())
        self.averages = {name: p.detach().clone() for name, p in self.parameters.items()} if decay else {}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the weights after a step; early steps weigh more, so that the start is soon forgotten."""
        if self.decay:
            decay = min(self.decay, (1 + step) / (10 + step))
            averages = [self.averages[name] for name in self.parameters]
            torch._foreach_lerp_(averages, [p.detach() for p in self.parameters.values()], 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within it the module has the averages as its weights."""
        if not self.decay:
            yield
            return
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def load(self, averages: dict[str, Tensor]) -> None:
        """Puts back averages that were kept."""
        for name, average in self.averages.items():
            average.copy_(averages[name])

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self.parameters.items():
            parameter.data, self.averages[name] = self.averages[name], parameter.data
