"""Creation of local tables, and appends of a few rows, by delta-rs.

Through Spark each of these commits costs a second or more, and here some milliseconds. The tables are the same.
"""

import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql.pandas.types import to_arrow_schema

from recsys_spark.core.atomic_files import supports_links
from recsys_spark.storage.schemas import Table

__all__ = ["append_rows", "can_write", "create_table"]

PLAIN_PATH = re.compile(r"[\w./ +=,-]*", re.ASCII)


@cache
def can_write(root: Path) -> bool:
    """Return True if delta-rs can commit in a folder.

    It needs hard links, and does not take every character in a path: some are decoded twice, others end in a panic.
    """
    known = find_spec("deltalake") is not None and PLAIN_PATH.fullmatch(str(root)) is not None
    return known and root.is_dir() and supports_links(root)


def create_table(folder: Path, table: Table, record: str) -> None:
    """Create an empty table with `record` as user metadata, unless it exists; the folder has no other files.

    It has no CHECK constraints: delta-rs adds them in a second commit only, after which versions would differ from
    those of tables that Spark creates.
    """
    from deltalake import CommitProperties, DeltaTable, Schema

    schema = table.schema
    for column in schema:
        column.nullable = column.name in table.nullable
    DeltaTable.create(
        folder,
        schema=Schema.from_json(schema.json()),
        mode="ignore",
        configuration=dict(table.properties),
        commit_properties=CommitProperties(custom_metadata={"userMetadata": record}),
    )


def append_rows(folder: Path, table: Table, rows: Sequence[tuple[Any, ...]], record: str) -> None:
    """Append rows to an existing table in one commit with `record` as user metadata."""
    from deltalake import CommitProperties, WriterProperties, write_deltalake

    columns = dict(zip(table.schema.names, zip(*rows, strict=True), strict=True))
    schema = to_arrow_schema(table.schema, timestamp_utc=True)
    arrays = [pa.array(_entries(columns[field.name]), field.type) for field in schema]
    write_deltalake(
        folder,
        pa.Table.from_arrays(arrays, schema=schema),
        mode="append",
        writer_properties=WriterProperties(compression="ZSTD"),
        commit_properties=CommitProperties(custom_metadata={"userMetadata": record}),
    )


def _entries(values: Sequence[Any]) -> list[Any]:
    """Return values as Arrow takes them: maps as lists of pairs."""
    return [list(value.items()) if isinstance(value, dict) else value for value in values]
