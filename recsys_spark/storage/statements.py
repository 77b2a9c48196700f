"""Delta statements in SQL, which classic sessions, Spark Connect and serverless compute run alike."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyspark.sql import DataFrame

from recsys_spark.storage.descriptions import ROWS, column_description
from recsys_spark.storage.schemas import Table

__all__ = ["create_statement", "merge_statement", "temporary_view", "view_statement"]


def create_statement(address: str, table: Table, in_catalog: bool = False) -> str:
    """Return the statement that creates an empty table unless it exists.

    Tables of a catalog have comments and CHECK constraints. As properties, the constraints are part of the first
    commit; added by ALTER TABLE, they would cost one more commit each.
    """
    columns = ", ".join(
        f"`{name}` {sql_type}{'' if name in table.nullable else ' NOT NULL'}"
        f"{_comment(column_description(table.name, name)) if in_catalog else ''}"
        for name, sql_type in table.types.items()
    )
    conditions = {f"delta.constraints.{name}": check for name, check in table.checks.items()} if in_catalog else {}
    properties = ", ".join(f"'{key}' = {_quoted(value)}" for key, value in {**table.properties, **conditions}.items())
    comment = _comment(ROWS[table.name]) if in_catalog else ""
    return f"CREATE TABLE IF NOT EXISTS {address} ({columns}) USING DELTA{comment} TBLPROPERTIES ({properties})"


def view_statement(address: str, table: str, query: str) -> str:
    """Return the statement that creates or replaces the view of a table's serving rows."""
    comment = _comment(f"{ROWS[table]} Rows of the serving version only.")
    return f"CREATE OR REPLACE VIEW {address}{comment} AS {query}"


def _comment(text: str) -> str:
    return f" COMMENT {_quoted(text)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def merge_statement(
    address: str,
    source: str,
    keys: tuple[str, ...],
    update: Mapping[str, str] | None,
    update_when: str | None,
    inserted: tuple[str, ...],
    deletes: bool,
) -> str:
    """Return the statement that updates and inserts rows by key.

    Rows of the table are `old`, those of the view `source` are `new`. With `deletes`, rows with `new.removed` are
    deleted; without any clause for matched rows Delta only appends, and rewrites no file.
    """
    condition = " AND ".join(f"old.{key} <=> new.{key}" for key in keys)
    clauses = [f"MERGE INTO {address} AS old USING {source} AS new ON {condition}"]
    if deletes:
        clauses.append("WHEN MATCHED AND new.removed THEN DELETE")
    if update:
        assignments = ", ".join(f"{column} = {value}" for column, value in update.items())
        when = f" AND ({update_when})" if update_when is not None else ""
        clauses.append(f"WHEN MATCHED{when} THEN UPDATE SET {assignments}")
    if inserted:
        values = ", ".join(f"new.{column}" for column in inserted)
        clauses.append(f"WHEN NOT MATCHED AND NOT new.removed THEN INSERT ({', '.join(inserted)}) VALUES ({values})")
    return " ".join(clauses)


@contextmanager
def temporary_view(rows: DataFrame) -> Iterator[str]:
    """Yield the name of a view of the rows, which is dropped at the end."""
    name = f"rows_{uuid.uuid4().hex}"
    rows.createOrReplaceTempView(name)
    try:
        yield name
    finally:
        rows.sparkSession.catalog.dropTempView(name)
