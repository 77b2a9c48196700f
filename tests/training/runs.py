"""Training runs on synthetic shards, and ways to stop them."""

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
    "set_metrics",
    "stop_at",
    "stored_weights",
    "weights_of",
]

# Dropout, sampling, a falling step size and an average: everything that depends on the position of training.
NOISY = {"hidden": 8, "latent": 3, "batch_rows": 12, "epochs": 3, "schedule": "cosine", "average": 0.9}
PLAIN = {"units": 6, "batch_rows": 12, "epochs": 3, "learning_rate": 0.02}


class Stopped(Exception):
    """Error that a test raises to stop training."""


def make_spec(root: Path, kind: str, tastes: Tastes, settings: Mapping[str, Any], **changes: Any) -> TrainSpec:
    """Build the specification of a run of one thread below `root`.

    The shards of `tastes` are written unless they exist.
    """
    for name, held in (("train", None), ("validation", tastes.held)):
        if not (root / name).exists():
            write_folder(root / name, tastes.rows, tastes.shape, held)
    folder = root / changes.pop("name", "model")
    folder.mkdir(exist_ok=True)
    fields: dict[str, Any] = {
        "kind": kind,
        "settings": dict(settings),
        "seed": 3,
        "train_folder": str(root / "train"),
        "validation_folder": str(root / "validation"),
        "folder": str(folder),
        "threads": 1,
    }
    return TrainSpec(**(fields | changes))


def make_specs(
    root: Path, kind: str, tastes: Tastes, settings: Mapping[str, Any], *names: str, **changes: Any
) -> list[TrainSpec]:
    """Build equal runs on the same shards, each with its own folder."""
    return [make_spec(root, kind, tastes, settings, name=name, **changes) for name in names]


def stop_at(patch: pytest.MonkeyPatch, *steps: int) -> None:
    """Raise Stopped before each of these global steps, once."""
    step, left = trainer._Trainer._step, set(steps)

    def stopping(self: Any, loaded: Any) -> None:
        if self.state.global_step in left:
            left.remove(self.state.global_step)
            raise Stopped
        step(self, loaded)

    patch.setattr(trainer._Trainer, "_step", stopping)


def set_metrics(patch: pytest.MonkeyPatch, *metrics: float) -> None:
    """Let validation return these metrics, one after the other."""
    values = iter(metrics)
    patch.setattr(trainer, "validate", lambda *args: next(values))


def weights_of(spec: TrainSpec) -> bytes:
    """Return the bytes of a run's weights file."""
    return (Path(spec.folder) / "weights.safetensors").read_bytes()


def log_of(spec: TrainSpec) -> list[dict[str, Any]]:
    """Return the lines of the epoch log, without the seconds."""
    lines = (Path(spec.folder) / "log.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def stored_weights(spec: TrainSpec) -> dict[str, Tensor]:
    """Return the final weights of a run."""
    return load_file(Path(spec.folder) / "weights.safetensors")
