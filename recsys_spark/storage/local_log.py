"""History of local tables from the files of their log, without a Spark job.

The names and actions of these files are fixed by the Delta protocol.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["LOG", "Commit", "has_commit", "local_history", "local_table_id", "newest_version", "parsed_metadata"]

LOG = "_delta_log"
LOG_FILE = re.compile(r"\d{20}\.(json|checkpoint\.)")
COMMIT_FILE = re.compile(r"(\d{20})\.json")
MAINTENANCE = {
    "OPTIMIZE",
    "VACUUM START",
    "VACUUM END",
    "REORG",
    "SET TBLPROPERTIES",
    "UNSET TBLPROPERTIES",
    "ADD COLUMNS",
    "CHANGE COLUMN",
}


class Commit(NamedTuple):
    """Commit of a table version."""

    version: int
    operation: str
    metadata: dict[str, Any]

    @property
    def changes_rows(self) -> bool:
        """Return True unless the commit is maintenance that keeps the rows."""
        return self.operation not in MAINTENANCE


def newest_version(folder: Path | None) -> int | None:
    """Return the newest version of an existing table, from the file names in its log.

    The result is None if the log has no commit files, or if `folder` is None.
    """
    return None if folder is None else max(_versions(folder), default=None)


def has_commit(folder: Path) -> bool:
    """Return True if a folder has a log with at least one commit or checkpoint."""
    log = folder / LOG
    return log.is_dir() and any(LOG_FILE.match(name) for name in os.listdir(log))


def local_history(folder: Path, limit: int | None = None) -> list[Commit]:
    """Return the commits of a table without gaps, newest first; `limit` bounds their number.

    A commit of another writer may have no information; its operation is then empty.
    """
    commits: list[Commit] = []
    for version in sorted(_versions(folder), reverse=True)[:limit]:
        if commits and commits[-1].version != version + 1:
            break
        try:
            info = _first_action(folder, version, "commitInfo") or {}
        except FileNotFoundError:  # files of old commits are removed from time to time, also after the listing
            break
        commits.append(Commit(version, info.get("operation", ""), parsed_metadata(info.get("userMetadata"))))
    return commits


def local_table_id(folder: Path) -> str | None:
    """Return the id that a table was created with; None if its first commit is no longer in the log."""
    try:
        found = _first_action(folder, 0, "metaData")
    except FileNotFoundError:
        return None
    return None if found is None else str(found["id"])


def parsed_metadata(text: str | None) -> dict[str, Any]:
    """Parse user metadata; commits of other writers give an empty dictionary."""
    try:
        parsed = json.loads(text or "{}")
    except json.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _versions(folder: Path) -> Iterator[int]:
    return (int(match[1]) for name in os.listdir(folder / LOG) if (match := COMMIT_FILE.fullmatch(name)))


def _first_action(folder: Path, version: int, name: str) -> dict[str, Any] | None:
    """Return the first action of a kind in a commit, or None; it is in one of the first lines."""
    with (folder / LOG / f"{version:020}.json").open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(f'{{"{name}":'):
                action: dict[str, Any] = json.loads(line)[name]
                return action
    return None
