"""Opening of a root: its configuration is found wherever a notebook was started."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys_spark.config.load import load_config
from recsys_spark.config.model import BaseConfig
from recsys_spark.interface.root import Root

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["open_root"]

# The root of conf/local.yaml, which `make run` uses.
DEFAULT_ROOT = "data/tables"
# Settings whose relative paths start at the folder in which the configuration was found.
PATHS = ("tables.root", "files.root", "source.path", "split.folds_path", "map.path", "report.path", "spark.warehouse")


def open_root(
    root: str | PathLike[str] | None = None,
    *,
    config: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    settings: Mapping[str, object] | None = None,
    spark: "SparkSession | None" = None,
) -> Root:
    """Open the tables below a folder or storage URI, or those of a configuration.

    Args:
        root: Folder of the tables (`tables.root`). Without it and without a configuration, `data/tables` is opened.
        config: YAML file of settings, or several. A relative path is looked for in the working directory and in its
            parent folders; relative paths in the file then start where it was found.
        settings: Values of settings by key, such as `{"models.als.rank": 32}`; they win over the files.
        spark: Session to use. Without it an existing session is used, and one is started where Spark is needed.

    Raises:
        ConfigError: A file, a key or a value is wrong.

    Example:
        >>> root = open_root("data/tables")
        >>> root.similar_items("Blue Train", top=5)
    """
    files = [config] if isinstance(config, str | PathLike) else list(config)
    home = _home([str(file) for file in files] or [DEFAULT_ROOT])
    words = [word for file in files for word in ("--config", str(home / file))]
    given = {**(settings or {}), **({} if root is None else {"tables.root": str(root)})}
    if not files and not {"tables.root", "tables.schema"} & given.keys():
        given["tables.root"] = str(home / DEFAULT_ROOT)
    if files:
        loaded = load_config(words, settings=given)
        written = {key: _value(loaded, key) for key in PATHS if key not in given}
        given |= {key: str(home / path) for key, path in written.items() if path is not None and _is_relative(path)}
    return Root(words, given, spark)


def _home(files: Sequence[str]) -> Path:
    """Return the nearest folder that has the first file: the working directory or a parent of it.

    Without one it is the working directory.
    """
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / files[0]).exists()), here)


def _value(config: BaseConfig, key: str) -> Any:
    section, name = key.split(".")
    return getattr(getattr(config, section), name)


def _is_relative(path: str) -> bool:
    return ":" not in path.partition("/")[0] and not Path(path).is_absolute()
