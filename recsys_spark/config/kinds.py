"""Settings of each model kind."""

from pydantic import BaseModel

from recsys_spark.core.names import KINDS, NETWORKS, SETTINGS, load_named

__all__ = ["load_settings"]


def load_settings(kind: str) -> type[BaseModel]:
    """Return the class of a kind's settings.

    Raises KeyError for an unknown kind. Raises ImportError if the settings are only in the class of the kind, and a
    library that it needs is not installed.
    """
    line = SETTINGS.get(kind)
    settings: type[BaseModel] = load_named((KINDS | NETWORKS)[kind]).Settings if line is None else load_named(line)
    return settings
