"""Atomic file writes.

A file gets its name only when it is complete. A killed writer or a concurrent reader never sees half of it.
"""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

__all__ = [
    "UNSUPPORTED",
    "atomic_write",
    "drafts",
    "flush",
    "name_new_file",
    "remove_drafts",
    "supports_links",
    "write_json",
    "write_once",
]

DRAFT = ".tmp"
# Errors of a file system without hard links or locks, such as a mounted object store.
UNSUPPORTED = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.ENOSYS})


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
        flush(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    """Write a JSON file atomically."""
    with atomic_write(path) as draft:
        draft.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def flush(path: Path) -> None:
    """Flush a file or folder to the disk, as far as its file system can."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in UNSUPPORTED | {errno.EINVAL}:
            raise
    finally:
        os.close(handle)


def name_new_file(draft: Path, path: Path) -> bool:
    """Give a complete file the name `path`; return False, and remove the file, if that name is taken.

    A hard link decides between two writers. Without hard links the file is renamed, and of two writers in the same
    instant the later one replaces the file of the other.
    """
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        if path.exists():
            return False
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return True


def write_once(path: Path, text: str) -> str:
    """Return the text of a file, after writing `text` if there is none.

    The file is complete before it has its name, so that a killed job leaves no partial one.
    """
    if not path.exists():
        draft = path.with_name(f".{path.name}.{uuid4().hex}{DRAFT}")
        draft.write_text(text, encoding="utf-8")
        name_new_file(draft, path)
    return path.read_text(encoding="utf-8")


def supports_links(folder: Path) -> bool:
    """Return True if files in a folder can have hard links."""
    probe, link = (folder / f".{uuid4().hex}{DRAFT}" for _ in range(2))
    probe.touch()
    try:
        os.link(probe, link)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return False
    finally:
        probe.unlink()
        link.unlink(missing_ok=True)
    return True


def drafts(folder: Path) -> list[Path]:
    """Return the temporary files of killed or running writers in a folder."""
    return list(folder.glob(f".*{DRAFT}"))


def remove_drafts(folder: Path) -> None:
    """Remove the temporary files in a folder that has no running writer."""
    for draft in drafts(folder):
        draft.unlink(missing_ok=True)
