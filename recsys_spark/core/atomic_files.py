"""Files that have their name whole or not at all, whatever is killed and whoever reads meanwhile."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

__all__ = ["drafts", "remove_drafts", "write_json", "atomic_write"]

DRAFT = ".tmp"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """The draft to write, which takes the name of `path` at the end; two processes that write it do not meet.

    It is on the disk by then: a name that outlived its content in a loss of power would vouch for nothing. A process
    that is killed leaves a draft behind.
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
    """A file of JSON, in one step."""
    with atomic_write(path) as draft:
        draft.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def drafts(folder: Path) -> list[Path]:
    """What killed processes left in a folder, or others are writing there."""
    return list(folder.glob(f".*{DRAFT}"))


def remove_drafts(folder: Path) -> None:
    """Clears those away, where nobody else writes."""
    for draft in drafts(folder):
        draft.unlink(missing_ok=True)
