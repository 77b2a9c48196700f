"""Checkpoints: the state from which training resumes with the result of an uninterrupted run.

A checkpoint is a folder of safetensors and JSON, which cannot run code. It is written under a temporary name, flushed
to disk, and renamed, so a kill or a full disk leaves the previous checkpoint intact. The folder holds a hash of each
file. A checkpoint with a wrong hash is damaged, and the previous one is used. States of random generators are not
stored: each step derives its own seed from the seed of the run (epoch_schedule.derive_seed), so any step can be
repeated.
"""

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from recsys_spark.core.atomic_files import flush
from recsys_spark.core.errors import TrainingError
from recsys_spark.storage.shard_format import file_digest

__all__ = ["Checkpoint", "Checkpoints", "flatten_optimizer", "restore_optimizer"]

log = logging.getLogger(__name__)

SUMS = "sums.json"


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint: named groups of tensors (weights, optimizer, average) and a JSON state."""

    step: int
    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


class Checkpoints:
    """Checkpoints of one training run below `folder`, of which the newest `keep` are kept."""

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint atomically and return its folder.

        Raises TrainingError if it cannot be written; the older ones stay.
        """
        target = self.folder / f"step-{checkpoint.step:09d}"
        # One fixed name, so that the next save removes the files of a killed process.
        temporary = self.folder / ".writing"
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            self._write(checkpoint, temporary)
            shutil.rmtree(target, ignore_errors=True)
            temporary.rename(target)
            flush(self.folder)
        except Exception as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise TrainingError(
                f"the checkpoint {target} could not be written ({error}): free disk space or repair {self.folder} "
                "and run the same command again; training resumes from the previous checkpoint"
            ) from error
        self._remove_old()
        return target

    def newest(self) -> Checkpoint | None:
        """Return the newest undamaged checkpoint, or None; damaged ones are skipped with a warning."""
        for folder in sorted(self.folder.glob("step-*"), reverse=True):
            try:
                return _read(folder)
            except (OSError, ValueError, KeyError) as error:
                log.warning("checkpoint %s is damaged (%s): using the previous one", folder, error)
        return None

    def _write(self, checkpoint: Checkpoint, folder: Path) -> None:
        for name, tensors in checkpoint.tensors.items():
            whole = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
            save_file(whole, folder / f"{name}.safetensors")
        (folder / "state.json").write_text(json.dumps({"step": checkpoint.step, **checkpoint.state}, indent=1))
        sums = {file.name: file_digest(file) for file in sorted(folder.iterdir())}
        (folder / SUMS).write_text(json.dumps(sums, indent=1))
        for file in folder.iterdir():
            flush(file)
        flush(folder)

    def _remove_old(self) -> None:
        for folder in sorted(self.folder.glob("step-*"))[: -self.keep]:
            shutil.rmtree(folder, ignore_errors=True)


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Return an optimiser's state as named tensors, and its parameter groups as JSON values."""
    state = optimizer.state_dict()
    tensors = {
        f"{number}.{name}": value if isinstance(value, Tensor) else torch.tensor(value)
        for number, values in state["state"].items()
        for name, value in values.items()
        if value is not None
    }
    return tensors, state["param_groups"]


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], groups: list[dict[str, Any]]
) -> None:
    """Load a state returned by flatten_optimizer into an optimiser."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _read(folder: Path) -> Checkpoint:
    sums = json.loads((folder / SUMS).read_text())
    for name, digest in sums.items():
        if file_digest(folder / name) != digest:
            raise ValueError(f"the hash of {name} differs")
    state = json.loads((folder / "state.json").read_text())
    tensors = {name: load_file(folder / f"{name}.safetensors") for name in _groups(sums)}
    return Checkpoint(state.pop("step"), tensors, state)


def _groups(sums: Mapping[str, str]) -> Iterator[str]:
    return (name.removesuffix(".safetensors") for name in sums if name.endswith(".safetensors"))
