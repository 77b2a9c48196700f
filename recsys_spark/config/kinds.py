"""Settings of each model kind."""

from pydantic import BaseModel

from recsys_spark.core.names import KINDS, NETWORKS, load_named

__all__ = ["load_settings"]


def load_settings(kind: str) -> type[BaseModel]:
    """Return the class of a kind's settings.

    Raises KeyError for an unknown kind, and ImportError for a network where torch is not installed.
    """
    settings: type[BaseModel] = load_named((KINDS | NETWORKS)[kind]).Settings
    return settings
