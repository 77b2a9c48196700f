"""Atomic file writes.

A file gets its name only when it is complete. A killed writer or a concurrent reader never sees half of it.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

__all__ = ["atomic_write", "drafts", "remove_drafts", "write_json"]

DRAFT = ".tmp"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary file that is renamed to `path` when the block ends.

    The content is flushed to the disk before the rename, so that a loss of power cannot leave the name of a file
    without its content. Each call has a temporary file of its own: two writers of one path do not interfere. A killed
    process leaves its temporary file behind (see remove_drafts).
    """
    draft = path.with_name(f".{path.name}.{uuid4().hex}{DRAFT}")
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    """Write a JSON file atomically."""
    with atomic_write(path) as draft:
        draft.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def drafts(folder: Path) -> list[Path]:
    """Return the temporary files of killed or running writers in a folder."""
    return list(folder.glob(f".*{DRAFT}"))


def remove_drafts(folder: Path) -> None:
    """Remove the temporary files in a folder that has no running writer."""
    for draft in drafts(folder):
        draft.unlink(missing_ok=True)
