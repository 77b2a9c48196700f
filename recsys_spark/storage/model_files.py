"""File lists of trained models.

The list is written last, so that a lost file is detected before the model is loaded.
"""

import json
from pathlib import Path

from recsys_spark.core.atomic_files import write_json

__all__ = ["missing_files", "write_file_list"]

FILE = "files.json"
# Files that no later job needs.
LEFT_OUT = ("checkpoints", "log.jsonl", FILE)


def write_file_list(folder: Path) -> None:
    """Write the list of the files of a trained model."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    names = sorted(str(path) for path in found if _is_model_file(path))
    write_json(folder / FILE, names)


def missing_files(folder: Path) -> list[str]:
    """Return the listed files that do not exist; a folder without a list misses none."""
    try:
        names = json.loads((folder / FILE).read_text())
    except FileNotFoundError:
        return []
    return [name for name in names if not (folder / name).is_file()]


def _is_model_file(path: Path) -> bool:
    # Markers of Spark and temporary files have such names.
    hidden = any(part.startswith((".", "_")) for part in path.parts)
    return not hidden and path.parts[0] not in LEFT_OUT and path.suffix != ".tmp"
