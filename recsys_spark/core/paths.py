"""Paths and URIs, so that Python and Spark open the same place under one setting."""

import re
from pathlib import Path

__all__ = ["absolute", "file_uri", "literal_path", "local_path", "without_credentials"]


def local_path(uri: str) -> Path | None:
    """Return the absolute path of a `file:` URI or plain path; None for other storage."""
    scheme, colon, rest = uri.partition(":")
    if not colon or "/" in scheme:
        return Path(uri).absolute()
    return Path("/" + rest.lstrip("/")) if scheme == "file" else None


def file_uri(path: Path) -> str:
    """Return the URI of a path for Spark.

    Hadoop does not decode URIs: a `%20` in the text stays part of the name. The path is therefore not encoded.
    """
    return f"file:{path.absolute()}"


def absolute(root: str) -> str:
    """Return a root as an absolute path, or as a URI without a trailing slash."""
    path = local_path(root)
    return str(path) if path is not None else root.rstrip("/")


def literal_path(path: str) -> str:
    """Return the glob that matches exactly this path."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)


def without_credentials(text: str) -> str:
    """Return a text whose addresses have no `user:password@`."""
    return re.sub(r"""(\w://)[^/@\s"']*:[^/@\s"']*@""", r"\1", text)
