"""Whether the places that a run writes to can be written, asked before anything is computed."""

import os
import uuid
from pathlib import Path

from recsys_spark.addresses import local_path
from recsys_spark.config import BaseConfig
from recsys_spark.errors import ConfigError

__all__ = ["check_roots"]


def check_roots(config: BaseConfig) -> None:
    """Writes and reads back a small file below tables.root and files.root, where these are local paths.

    Raises ConfigError listing every root that failed.
    """
    places = {"files.root": config.files_root}
    if config.tables.root is not None:
        places["tables.root"] = config.tables.root
    problems = [problem for key, uri in places.items() if (problem := _problem(key, uri))]
    if not problems and config.files.root is not None:
        problems += _other_owner(config.files.root, config.tables.root or config.tables.schema_name or "")
    if problems:
        raise ConfigError(*problems)


def _other_owner(files_root: str, tables: str) -> list[str]:
    """Files are named by model version, and versions are told apart within one set of tables only."""
    folder = local_path(files_root)
    if folder is None:
        return []
    local = local_path(tables)
    mark, owner = folder / "tables.txt", str(local) if local is not None and "/" in tables else tables
    if not mark.exists():
        mark.write_text(owner)
    found = mark.read_text()
    return [] if found == owner else [f"files.root: {files_root} belongs to the tables at {found}, not {owner}"]


def _problem(key: str, uri: str) -> str | None:
    path = local_path(uri)
    if path is None:
        # Delta reaches any storage; staged rows, matrices and weights are opened as files.
        remote = f"{key}: {uri} is not a path: set files.root to a folder that every machine mounts"
        return remote if key == "files.root" else None
    if key == "tables.root" and "`" in uri:
        return f"{key}: {uri} holds a backtick, with which Delta cannot create tables: choose another"
    probe = Path(path) / f".probe-{os.getpid()}-{uuid.uuid4().hex}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"probe")
        readable = probe.read_bytes() == b"probe"
        probe.unlink()
    except OSError as error:
        return f"{key}: {uri} cannot be written: {error}"
    return None if readable else f"{key}: {uri} does not give back what is written to it"
