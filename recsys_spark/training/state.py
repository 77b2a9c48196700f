"""State of a training run, stored in checkpoints with the weights and the optimiser."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["TrainingState"]


@dataclass
class TrainingState:
    """Position of a training run, its best metric, and the loss of the current epoch.

    `step` counts within the epoch, `global_step` from the start. Losses are sums over all ranks.
    `n_streams` is the number of row streams of the epoch schedule. Another number gives the steps other rows.
    """

    n_streams: int
    epoch: int = 0
    step: int = 0
    global_step: int = 0
    best_metric: float | None = None
    best_epoch: int = -1
    loss_total: float = 0.0
    loss_count: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "TrainingState":
        """Return the state of a checkpoint; `lanes` is the stored name of `n_streams`."""
        fields = dict(stored)
        return cls(fields.pop("lanes"), **fields)

    def to_json(self) -> dict[str, Any]:
        """Return the state in the form that checkpoints store."""
        fields = dict(vars(self))
        return {"lanes": fields.pop("n_streams"), **fields}

    @property
    def loss(self) -> float:
        """Return the mean loss of the epoch so far."""
        return self.loss_total / max(self.loss_count, 1e-12)

    def epochs_done(self, steps: int) -> float:
        """Return the finished epochs with the share of the current one, of `steps` steps."""
        return self.epoch + self.step / max(1, steps)

    def add(self, total: float, count: float, parts: Mapping[str, float]) -> None:
        """Add the loss of a step."""
        self.loss_total += total
        self.loss_count += count
        for name, value in parts.items():
            self.parts[name] = self.parts.get(name, 0.0) + value

    def next_step(self) -> None:
        """Count a completed step."""
        self.step += 1
        self.global_step += 1

    def next_epoch(self) -> dict[str, Any]:
        """Count a completed epoch and return its log entries: epoch, steps, loss and loss parts."""
        count = max(self.loss_count, 1e-12)
        entries = {"epoch": self.epoch, "steps": self.step, "loss": self.loss}
        entries |= {name: value / count for name, value in self.parts.items()}
        self.epoch += 1
        self.start_epoch_again()
        return entries

    def start_epoch_again(self) -> None:
        """Reset the steps and the loss of the current epoch."""
        self.step, self.loss_total, self.loss_count, self.parts = 0, 0.0, 0.0, {}
