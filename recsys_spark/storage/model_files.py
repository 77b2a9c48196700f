"""The files of a trained model, by a list that is written last: whether one was lost is known before it is opened."""

import json
from pathlib import Path

from recsys_spark.core.atomic_files import write_json

__all__ = ["list_files_of_model", "lost_files"]

FILE = "files.json"
# What training leaves for people, or for itself.
LEFT_OUT = ("checkpoints", "log.jsonl", FILE)


def list_files_of_model(folder: Path) -> None:
    """Writes the list of what lies below the folder of a model that is trained."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    names = sorted(str(path) for path in found if _is_kept(path))
    write_json(folder / FILE, names)


def lost_files(folder: Path) -> list[str]:
    """Those on the list that are no longer there; none where there is no list."""
    try:
        names = json.loads((folder / FILE).read_text())
    except FileNotFoundError:
        return []
    return [name for name in names if not (folder / name).is_file()]


def _is_kept(path: Path) -> bool:
    # Spark's own marks, and files that are being written, begin or end so.
    hidden = any(part.startswith((".", "_")) for part in path.parts)
    return not hidden and path.parts[0] not in LEFT_OUT and path.suffix != ".tmp"
