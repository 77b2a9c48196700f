"""Where training stands: all that a checkpoint keeps beside weights and optimiser."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["TrainingState"]


@dataclass
class TrainingState:
    """Epoch, step within it, steps in all; the best metric so far; the epoch's loss as sums over all ranks.

    `lanes` is the number of lanes that the epoch's rows were dealt to: with another number a step takes other rows.
    """

    lanes: int
    epoch: int = 0
    step: int = 0
    global_step: int = 0
    best_metric: float | None = None
    best_epoch: int = -1
    loss_total: float = 0.0
    loss_count: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def loss(self) -> float:
        """The mean loss of the epoch so far."""
        return self.loss_total / max(self.loss_count, 1e-12)

    def add(self, total: float, count: float, parts: Mapping[str, float]) -> None:
        """Takes in the loss of a step."""
        self.loss_total += total
        self.loss_count += count
        for name, value in parts.items():
            self.parts[name] = self.parts.get(name, 0.0) + value

    def next_step(self) -> None:
        """A step is done."""
        self.step += 1
        self.global_step += 1

    def next_epoch(self) -> dict[str, Any]:
        """An epoch is done; gives what is to be told of it."""
        count = max(self.loss_count, 1e-12)
        told = {"epoch": self.epoch, "steps": self.step, "loss": self.loss}
        told |= {name: value / count for name, value in self.parts.items()}
        self.epoch += 1
        self.start_epoch_again()
        return told

    def start_epoch_again(self) -> None:
        """Forgets the steps of the running epoch."""
        self.step, self.loss_total, self.loss_count, self.parts = 0, 0.0, 0.0, {}
