"""Checks of inputs before a Spark session is started."""

import re
from importlib.util import find_spec
from pathlib import Path

from recsys_spark.config.model import BaseConfig
from recsys_spark.config.split import protocol_of
from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.core.libraries import install_command
from recsys_spark.core.paths import local_path

__all__ = ["check_protocol", "check_source_path", "check_split", "check_tracking"]

GLOB = re.compile(r"[*?\[\]{}]")


def check_source_path(config: BaseConfig) -> None:
    """Raise MissingInputError where source.path is a local path that does not exist.

    Globs and other storage are left to Spark. So is an address with earlier files: a killed run is completed there,
    though its files are gone.
    """
    path, root = config.source.path, local_path(config.tables.root) if config.tables.root is not None else None
    place = local_path(path) if path is not None else None
    if path is None or place is None or root is None or (root / "ingested_files").exists():
        return
    if not place.exists() and not GLOB.search(path):
        raise MissingInputError(f"source.path {path!r} does not exist: check the path{_nearest(place)}")


def check_protocol(config: BaseConfig) -> None:
    """Raise ConfigError unless split.protocol is set."""
    protocol_of(config.split)


def check_tracking(config: BaseConfig) -> None:
    """Raise ConfigError where mlflow.tracking_uri is set and MLflow is not installed."""
    if config.mlflow.tracking_uri is not None and find_spec("mlflow") is None:
        raise ConfigError(
            f"mlflow.tracking_uri is set, and mlflow is not installed: run {install_command('mlflow')}, or unset it"
        )


def check_split(config: BaseConfig) -> None:
    """Raise MissingInputError where a split is configured and a local tables.root has none."""
    root = local_path(config.tables.root) if config.tables.root is not None else None
    if config.split.protocol is None or root is None or (root / "splits" / "_delta_log").exists():
        return
    raise MissingInputError(
        f"split.protocol is {config.split.protocol}, and there is no split at {root}: run split_interactions first,"
        " with the same settings of split"
    )


def _nearest(place: Path) -> str:
    """Return a hint at the part of a path that exists."""
    found = next((folder for folder in place.parents if folder.exists()), None)
    return "" if found is None else f" ({found} exists, and holds no {place.relative_to(found).parts[0]!r})"
