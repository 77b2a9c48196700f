"""Checks of new sessions, with stand-ins for the JVM."""

from types import SimpleNamespace
from typing import Any

import pytest

from recsys_spark.core.errors import ConfigError
from recsys_spark.runtime.session import _check_delta_classes


class JavaPackage:
    """Stand-in for what py4j returns for a name without a class."""


class JavaClass:
    """Stand-in for what py4j returns for a class."""


def session_with(found: object) -> Any:
    """Return a session whose JVM resolves io.delta.tables.DeltaTable to an object."""
    tables = SimpleNamespace(DeltaTable=found)
    return SimpleNamespace(_jvm=SimpleNamespace(io=SimpleNamespace(delta=SimpleNamespace(tables=tables))))


def test_a_spark_without_delta_jars_names_the_command_that_installs_them() -> None:
    with pytest.raises(ConfigError, match=r"python -m recsys_spark\.runtime\.delta_jars"):
        _check_delta_classes(session_with(JavaPackage()))
    _check_delta_classes(session_with(JavaClass()))
