"""What Spark forks its Python workers from on one machine: all that they import is imported once, here.

A worker ends after a minute without work, and wherever a task wants only the first of its rows. Each new one would
import numpy, pandas and pyarrow again, which takes longer than many a task.

Spark also puts archives of its Python code first, and a worker that found code in one reads the list of all its files
again for each folder in it at the start of every task, which takes longer than an empty task otherwise does. The driver
has the same code as files, and so has every worker of its machine.
"""

# ruff: noqa: E402 - where the later ones are found is decided before them.

import sys
from importlib.machinery import PathFinder
from pathlib import PurePath

_archives = [path for path in sys.path if PurePath(path).name.startswith(("pyspark.zip", "py4j-", "spark-core"))]
_others = [path for path in sys.path if path not in _archives]
if all(PathFinder.find_spec(name, _others) for name in ("pyspark", "py4j")):
    sys.path[:] = _others
    for _archive in _archives:
        sys.path_importer_cache.pop(_archive, None)

import pandas  # noqa: F401 - for the workers, as the next
import pyarrow.compute  # noqa: F401
from pyspark.daemon import manager

__all__ = ["manager"]

if __name__ == "__main__":
    manager()  # type: ignore[no-untyped-call]
