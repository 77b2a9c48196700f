"""Paths and URIs: what Python opens and what Spark opens under one setting must be the same place."""

import re
from pathlib import Path

__all__ = ["absolute", "file_uri", "literal_path", "local_path"]


def local_path(uri: str) -> Path | None:
    """The absolute path of a `file:` URI or plain path; None for any other storage."""
    scheme, colon, rest = uri.partition(":")
    if not colon or "/" in scheme:
        return Path(uri).absolute()
    return Path("/" + rest.lstrip("/")) if scheme == "file" else None


def file_uri(path: Path) -> str:
    """What Spark opens as exactly this path: Hadoop takes the text of a URI as it stands, a `%20` as well."""
    return f"file:{path.absolute()}"


def absolute(root: str) -> str:
    """A root as tables and messages name it: an absolute path, or a URI without a slash at its end."""
    path = local_path(root)
    return str(path) if path is not None else root.rstrip("/")


def literal_path(path: str) -> str:
    """The glob that matches exactly this path."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)
