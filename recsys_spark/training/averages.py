"""Running average of weights (Polyak and Juditsky 1992).

The average often predicts better than the last weights.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["RunningAverage"]


class RunningAverage:
    """Running average of a module's parameters with a decay per step; decay 0 means no average."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.parameters = dict(module.named_parameters())
        self.averages = {name: p.detach().clone() for name, p in self.parameters.items()} if decay else {}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the averages after a step.

        The decay is smaller in early steps, so that the initial weights soon lose their influence.
        """
        if self.decay:
            decay = min(self.decay, (1 + step) / (10 + step))
            averages = [self.averages[name] for name in self.parameters]
            torch._foreach_lerp_(averages, [p.detach() for p in self.parameters.values()], 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Use the averages as the module's weights within the context."""
        if not self.decay:
            yield
            return
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def load(self, averages: dict[str, Tensor]) -> None:
        """Load averages from a checkpoint."""
        for name, average in self.averages.items():
            average.copy_(averages[name])

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self.parameters.items():
            parameter.data, self.averages[name] = self.averages[name], parameter.data
