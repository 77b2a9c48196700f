"""Training runs on shards of planted tastes, and ways to stop them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

from recsys_spark.training import trainer
from recsys_spark.training.spec import TrainSpec
from tests.training.shard_folders import Tastes, write_folder

__all__ = [
    "NOISY",
    "PLAIN",
    "Stopped",
    "log_of",
    "make_spec",
    "make_specs",
    "stop_at",
    "stored_weights",
    "told_metrics",
    "weights_of",
]

# Dropout, sampling, a falling step size and averages: all that depends on where training stands.
NOISY = {"hidden": 8, "latent": 3, "batch_rows": 12, "epochs": 3, "schedule": "cosine", "average": 0.9}
PLAIN = {"units": 6, "batch_rows": 12, "epochs": 3, "learning_rate": 0.02}


class Stopped(Exception):
    """What a test stops training with."""


def make_spec(root: Path, kind: str, tastes: Tastes, settings: Mapping[str, Any], **changes: Any) -> TrainSpec:
    """A run below `root` on shards of `tastes`, written unless they are there: one thread, a seed of its own."""
    for name, held in (("train", None), ("validation", tastes.held)):
        if not (root / name).exists():
            write_folder(root / name, tastes.rows, tastes.shape, held)
    folder = root / changes.pop("name", "model")
    folder.mkdir(exist_ok=True)
    told: dict[str, Any] = {
        "kind": kind,
        "settings": dict(settings),
        "seed": 3,
        "train_folder": str(root / "train"),
        "validation_folder": str(root / "validation"),
        "folder": str(folder),
        "threads": 1,
    }
    return TrainSpec(**(told | changes))


def make_specs(
    root: Path, kind: str, tastes: Tastes, settings: Mapping[str, Any], *names: str, **changes: Any
) -> list[TrainSpec]:
    """Equal runs, each with a folder of its own, on the same shards."""
    return [make_spec(root, kind, tastes, settings, name=name, **changes) for name in names]


def stop_at(patch: pytest.MonkeyPatch, *steps: int) -> None:
    """Raises Stopped before each of these global steps, once."""
    step, left = trainer._Trainer._step, set(steps)

    def stopping(self: Any, rows: Any) -> float:
        if self.state.global_step in left:
            left.remove(self.state.global_step)
            raise Stopped
        return step(self, rows)

    patch.setattr(trainer._Trainer, "_step", stopping)


def told_metrics(patch: pytest.MonkeyPatch, *metrics: float) -> None:
    """Validation gives these, one after the other."""
    told = iter(metrics)
    patch.setattr(trainer, "validate", lambda *args: next(told))


def weights_of(spec: TrainSpec) -> bytes:
    """The file of a run's weights, for comparing bit for bit."""
    return (Path(spec.folder) / "weights.safetensors").read_bytes()


def log_of(spec: TrainSpec) -> list[dict[str, Any]]:
    """The lines of the log but the seconds that epochs took."""
    lines = (Path(spec.folder) / "log.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def stored_weights(spec: TrainSpec) -> dict[str, Tensor]:
    """The weights that a run ended with."""
    return load_file(Path(spec.folder) / "weights.safetensors")
