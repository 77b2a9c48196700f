"""Resources of the HTML pages, and their hashes for a content security policy."""

import base64
import hashlib
from importlib.resources import files

__all__ = ["page_style", "read_resource", "source_hash"]


def read_resource(name: str) -> str:
    """Return the text of a file below resources/, also from a wheel."""
    return (files("recsys_spark") / "resources" / name).read_text(encoding="utf-8")


def page_style(name: str) -> str:
    """Return the style of a page, after the colours that all pages share."""
    return read_resource("colours.css") + read_resource(name)


def source_hash(text: str) -> str:
    """Return the source expression that allows one script or style in a content security policy."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
