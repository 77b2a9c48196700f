"""Checkpoints of a run: the newest factors of each side, and the objective after each pass."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from recsys_spark.core.atomic_files import write_json
from recsys_spark.models.block_als.csr_blocks import Side
from recsys_spark.models.block_als.factor_files import Factors

__all__ = ["Checkpoint", "read_checkpoint", "write_checkpoint"]

FILE = "checkpoint.json"


@dataclass(frozen=True)
class Checkpoint:
    """State after pass `number`, with the objective after each pass and the seconds of each.

    `items` is None before the first pass of a random start.
    """

    number: int
    users: Factors
    items: Factors | None
    objectives: tuple[float, ...]
    seconds: tuple[float, ...] = ()

    def of(self, side: str) -> Factors | None:
        """Return the factors of `users` or `items`."""
        return self.users if side == "users" else self.items


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint, then remove the factors that it does not need.

    The file has names of folders without `folder`, which may be moved.
    """
    content = asdict(checkpoint)
    kept = set()
    for side in ("users", "items"):
        if content[side] is not None:
            content[side]["folder"] = Path(content[side]["folder"]).name
            kept.add(content[side]["folder"])
    write_json(folder / FILE, content)
    _remove_others(folder, kept)


def read_checkpoint(folder: Path, sides: dict[str, Side]) -> Checkpoint | None:
    """Return the checkpoint, or None without one or with a file of it missing.

    Folders of passes that were not finished are removed.
    """
    try:
        content = json.loads((folder / FILE).read_text())
    except FileNotFoundError:
        _remove_others(folder, set())
        return None
    found = {}
    for name, side in sides.items():
        if content[name] is not None:
            found[name] = Factors(str(folder / content[name]["folder"]), content[name]["penalty"])
            if not found[name].is_complete(side):
                (folder / FILE).unlink()
                return read_checkpoint(folder, sides)
    _remove_others(folder, {Path(factors.folder).name for factors in found.values()})
    return Checkpoint(
        content["number"], found["users"], found.get("items"), tuple(content["objectives"]), tuple(content["seconds"])
    )


def _remove_others(folder: Path, kept: set[str]) -> None:
    for path in folder.glob("pass-*"):
        if path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)
