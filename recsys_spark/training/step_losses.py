"""Losses of the last steps, kept on the device and read back together.

Reading a loss makes the host wait for the GPU, and the GPU then for the next step's work. So the losses of up to
READ_STEPS steps are read in one transfer. The step of a loss that is not a finite number is still exact. Losses of slow
steps are read every READ_SECONDS, so that progress stays current. Training reads all losses before a checkpoint and at
the end of an epoch: no checkpoint holds weights of a step whose loss was not checked.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from recsys_spark.networks.network import Loss
from recsys_spark.training.prefetch import Loaded
from recsys_spark.training.ranks import Ranks

__all__ = ["StepLoss", "StepLosses"]

# A wait costs about a millisecond of idle GPU: with 64 steps of some milliseconds well below one percent.
READ_STEPS = 64
READ_SECONDS = 1.0


@dataclass(frozen=True)
class StepLoss:
    """Loss of one step, summed over all ranks.

    `step` and `rows`, a few row numbers, name the step in messages. `divisor` is the count by which its gradients were
    divided.
    """

    step: int
    rows: list[int]
    divisor: float
    total: float
    count: float
    parts: dict[str, float]

    @property
    def is_finite(self) -> bool:
        """Return True if all values are finite numbers."""
        return all(map(math.isfinite, (self.total, self.count, *self.parts.values())))


@dataclass(frozen=True)
class _Unread:
    """Loss of one step of this rank on the device: (total, count, *parts), float64."""

    step: int
    rows: list[int]
    divisor: float
    names: list[str]
    values: Tensor

    def read(self, total: float, count: float, *parts: float) -> StepLoss:
        """Return the loss with the values of all ranks."""
        named = dict(zip(self.names, parts, strict=True))
        return StepLoss(self.step, self.rows, self.divisor, total, count, named)


class StepLosses:
    """Losses that were not read yet."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._unread: list[_Unread] = []
        self._read_at = time.monotonic()

    def add(self, step: int, loaded: Loaded, divisor: float, loss: Loss) -> None:
        """Keep the loss of a step, without waiting for its value."""
        values = (loss.total, loss.count, *loss.parts.values())
        stacked = torch.stack([value.detach().double().reshape(()) for value in values])
        self._unread.append(_Unread(step, loaded.numbers[:5].tolist(), divisor, list(loss.parts), stacked))

    @property
    def are_due(self) -> bool:
        """Return True if the losses should be read after the next step."""
        return len(self._unread) + 1 >= READ_STEPS or time.monotonic() - self._read_at > READ_SECONDS

    def read(self) -> Iterator[StepLoss]:
        """Yield the kept losses in the order of their steps; all ranks must call it after the same step."""
        unread, self._unread = self._unread, []
        self._read_at = time.monotonic()
        if unread:
            summed = self._ranks.sum(torch.stack([loss.values for loss in unread])).tolist()
            yield from (loss.read(*values) for loss, values in zip(unread, summed, strict=True))
