"""Checks of new sessions, with stand-ins for the JVM."""

from types import SimpleNamespace
from typing import Any

from recsys_spark.runtime.spark_context import has_delta_classes


class JavaPackage:
    """Stand-in for what py4j returns for a name without a class."""


class JavaClass:
    """Stand-in for what py4j returns for a class."""


def session_with(found: object) -> Any:
    """Return a session whose JVM resolves io.delta.tables.DeltaTable to an object."""
    tables = SimpleNamespace(DeltaTable=found)
    return SimpleNamespace(_jvm=SimpleNamespace(io=SimpleNamespace(delta=SimpleNamespace(tables=tables))))


def test_missing_delta_jars_are_seen() -> None:
    assert not has_delta_classes(session_with(JavaPackage()))
    assert has_delta_classes(session_with(JavaClass()))
