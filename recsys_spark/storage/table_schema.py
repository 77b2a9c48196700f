"""Whether what lies at a table's address is that table, of this release or of an earlier one."""

from pyspark.sql import types as T

from recsys_spark.core.errors import ConfigError
from recsys_spark.storage.schemas import TABLES

__all__ = ["missing_columns"]


def missing_columns(name: str, address: str, schema: T.StructType) -> list[T.StructField]:
    """The columns that a later release added to the end; none for a schema of this one.

    Raises ConfigError when it is somebody else's table.
    """
    expected = TABLES[name].schema
    found = {c.name: c.dataType.simpleString() for c in schema}
    differing = [
        f"{c.name} is {found[c.name]}, not {c.dataType.simpleString()}"
        for c in expected
        if c.name in found and found[c.name] != c.dataType.simpleString()
    ]
    lacking = [c for c in expected if c.name not in found]
    # An earlier release had the first columns and no others.
    if lacking and (not found or list(found) != expected.fieldNames()[: len(found)]):
        differing += [f"no column {c.name}" for c in lacking]
    if differing:
        raise ConfigError(
            f"table {address} has a foreign schema ({'; '.join(differing)}):"
            " choose another tables.root or tables.schema"
        )
    return lacking
