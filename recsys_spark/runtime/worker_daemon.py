"""Daemon of Python workers on one machine, with preloaded libraries.

Spark forks its Python workers from the daemon. A worker ends after a minute without work, and after a task that needs
only the first of its rows. Without the daemon each new worker would import numpy, pandas and pyarrow again, which takes
longer than many tasks.

Spark also puts archives of its Python code first on the path. A worker that imports from an archive reads its list of
files again at the start of every task, which takes longer than an empty task. Workers on the machine of the driver have
the same code as files, so the archives are removed from the path.
"""

# ruff: noqa: E402 - the path is set before the imports.

import sys
from importlib.machinery import PathFinder
from pathlib import PurePath

_archives = [path for path in sys.path if PurePath(path).name.startswith(("pyspark.zip", "py4j-", "spark-core"))]
_others = [path for path in sys.path if path not in _archives]
if all(PathFinder.find_spec(name, _others) for name in ("pyspark", "py4j")):
    sys.path[:] = _others
    for _archive in _archives:
        sys.path_importer_cache.pop(_archive, None)

import pandas  # noqa: F401 - preloaded for the workers
import pyarrow.compute  # noqa: F401 - preloaded for the workers
from pyspark.daemon import manager

__all__ = ["manager"]

if __name__ == "__main__":
    manager()  # type: ignore[no-untyped-call]
