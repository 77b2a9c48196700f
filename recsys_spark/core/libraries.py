"""Optional libraries and the commands that install them."""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires

from recsys_spark.core.errors import ConfigError

__all__ = ["explain_missing_libraries", "install_command", "missing_library"]

# Module -> the extra of setup.py that installs it.
EXTRAS = {
    "pyspark": "spark",
    "py4j": "spark",
    "delta": "spark",
    "torch": "torch",
    "petastorm": "torch",
    "deltalake": "cli",
    "mlflow": "mlflow",
}


@contextmanager
def explain_missing_libraries() -> Iterator[None]:
    """Convert the failed import of an optional library to ConfigError with a remedy."""
    try:
        yield
    except ModuleNotFoundError as error:
        problem = missing_library(error)
        if problem is None:
            raise
        raise ConfigError(problem) from error


def missing_library(error: ImportError) -> str | None:
    """Return the problem and its remedy, or None for a module that no extra installs."""
    module = (error.name or "").partition(".")[0]
    if module not in EXTRAS:
        return None
    return f"{module} is not installed in this environment: run {install_command(EXTRAS[module])}"


def install_command(extra: str) -> str:
    """Return the command that installs an extra, with the version ranges of setup.py.

    The package is in no registry, so the command names the libraries.
    """
    try:
        found = requires("recsys_spark") or []
    except PackageNotFoundError:
        found = []
    marker = re.compile(rf"""extra\s*==\s*["']{extra}["']""")
    names = [line.partition(";")[0].strip() for line in found if marker.search(line)]
    # A checkout that was not installed has no ranges.
    return f"python -m pip install {shlex.join(names)}" if names else "make run, which installs all dependencies"
