"""Checkpoints: what training needs to go on as if it had never stopped.

A checkpoint is a folder of safetensors and JSON: nothing in it can run code. It is written under another name,
flushed, and renamed, so a kill or a full disk leaves the one before untouched; each file's hash stands in the
folder, so a damaged one is noticed and the one before is used. Random numbers are not kept: each step derives its
own seed from the run's (lanes.mix), which is what makes any step repeatable.
"""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from recsys_spark.core.errors import TrainingError
from recsys_spark.storage.shard_format import file_digest

__all__ = ["Checkpoint", "Checkpoints", "flatten_optimizer", "restore_optimizer"]

log = logging.getLogger(__name__)

SUMS = "sums.json"


@dataclass(frozen=True)
class Checkpoint:
    """What was kept: named groups of tensors (weights, optimiser, ...) and the state beside them, as JSON has it."""

    step: int
    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


class Checkpoints:
    """The checkpoints of one training run below `folder`; the newest `keep` stay, and those marked to be kept."""

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep

    def save(self, checkpoint: Checkpoint) -> Path:
        """Writes a checkpoint whole or not at all.

        Raises TrainingError, with the older ones in place, when it cannot be written.
        """
        target = self.folder / f"step-{checkpoint.step:09d}"
        # One name for all, so that what a killed process left is cleared away by the next save.
        temporary = self.folder / ".writing"
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            self._write(checkpoint, temporary)
            shutil.rmtree(target, ignore_errors=True)
            temporary.rename(target)
            _flush(self.folder)
        except Exception as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise TrainingError(
                f"the checkpoint {target} could not be written ({error}): make room or repair {self.folder} and run "
                "the same command again; it goes on from the checkpoint before"
            ) from error
        self._forget_old()
        return target

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole; a damaged one is passed over, with a warning. None if there is none."""
        for folder in sorted(self.folder.glob("step-*"), reverse=True):
            try:
                return _read(folder)
            except (OSError, ValueError, KeyError) as error:
                log.warning("checkpoint %s is damaged (%s): the one before it is used", folder, error)
        return None

    def _write(self, checkpoint: Checkpoint, folder: Path) -> None:
        for name, tensors in checkpoint.tensors.items():
            whole = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
            save_file(whole, folder / f"{name}.safetensors")
        (folder / "state.json").write_text(json.dumps({"step": checkpoint.step, **checkpoint.state}, indent=1))
        sums = {file.name: file_digest(file) for file in sorted(folder.iterdir())}
        (folder / SUMS).write_text(json.dumps(sums, indent=1))
        for file in folder.iterdir():
            _flush(file)
        _flush(folder)

    def _forget_old(self) -> None:
        for folder in sorted(self.folder.glob("step-*"))[: -self.keep]:
            shutil.rmtree(folder, ignore_errors=True)


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """An optimiser's state as named tensors, and its groups' numbers as JSON has them."""
    state = optimizer.state_dict()
    tensors = {
        f"{place}.{name}": value if isinstance(value, Tensor) else torch.tensor(value)
        for place, values in state["state"].items()
        for name, value in values.items()
        if value is not None
    }
    return tensors, state["param_groups"]


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], groups: list[dict[str, Any]]
) -> None:
    """Puts back what flatten_optimizer gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        place, name = key.split(".", 1)
        state.setdefault(int(place), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _read(folder: Path) -> Checkpoint:
    sums = json.loads((folder / SUMS).read_text())
    for name, digest in sums.items():
        if file_digest(folder / name) != digest:
            raise ValueError(f"{name} is not what was written")
    state = json.loads((folder / "state.json").read_text())
    tensors = {name: load_file(folder / f"{name}.safetensors") for name in _groups(sums)}
    return Checkpoint(state.pop("step"), tensors, state)


def _groups(sums: Mapping[str, str]) -> Iterator[str]:
    return (name.removesuffix(".safetensors") for name in sums if name.endswith(".safetensors"))


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
