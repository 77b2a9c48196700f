"""What Spark forks its Python workers from on one machine: all that they import is imported once, here.

A worker ends after a minute without work, and wherever a task wants only the first of its rows. Each new one would
import numpy, pandas and pyarrow again, which takes longer than many a task.
"""

import pandas  # noqa: F401 - for the workers, as the next
import pyarrow.compute  # noqa: F401
from pyspark.daemon import manager

__all__ = ["manager"]

if __name__ == "__main__":
    manager()  # type: ignore[no-untyped-call]
