"""Rows of tables in comparable form."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

__all__ = ["arrow_rows", "rows_as_text"]


def rows_as_text(table: DataFrame) -> list[str]:
    """Return every row as JSON, sorted."""
    return sorted(row[0] for row in table.select(F.to_json(F.struct("*"))).collect())


def arrow_rows(table: pa.Table) -> list[str]:
    """Return every row of an Arrow table as text, sorted.

    Times are in UTC and maps in the order of their keys, independent of the library that made the table.
    """
    return sorted(repr({name: _plain(value) for name, value in row.items()}) for row in table.to_pylist())


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    if isinstance(value, Mapping):
        return sorted(value.items())
    is_map = isinstance(value, list) and value and all(isinstance(entry, tuple) for entry in value)
    return sorted(value) if is_map else value
