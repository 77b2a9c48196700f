"""Batch recommender for play logs on Spark."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys_spark.interface.opening import open_root
    from recsys_spark.interface.root import Root

__version__ = "0.1.0"
__all__ = ["Root", "open_root"]


def __getattr__(name: str) -> Any:
    """Load the interface of notebooks when it is asked for; jobs and executors do not need it."""
    if name in __all__:
        return getattr(import_module("recsys_spark.interface.opening"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
