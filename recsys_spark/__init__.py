"""Batch recommender for play logs on Spark."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys_spark.interface.opening import open_root
    from recsys_spark.interface.pictures import bars, lines
    from recsys_spark.interface.root import Root

__version__ = "0.1.0"
__all__ = ["Root", "bars", "lines", "open_root"]

# Name -> its module.
_HOMES = {
    "Root": "recsys_spark.interface.root",
    "bars": "recsys_spark.interface.pictures",
    "lines": "recsys_spark.interface.pictures",
    "open_root": "recsys_spark.interface.opening",
}


def __getattr__(name: str) -> Any:
    """Load the interface of notebooks when it is asked for; jobs and executors do not need it."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
