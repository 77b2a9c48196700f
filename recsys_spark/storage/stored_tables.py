"""Tables read by delta-rs, without Spark, for answers in a second.

Queries are SQL of DataFusion. Its predicates skip files and row groups, and only the named columns are read.
"""

from typing import Any

from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import DeltaError, TableNotFoundError

from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.core.paths import absolute
from recsys_spark.storage.schemas import TABLES

__all__ = ["StoredTables", "literal"]


class StoredTables:
    """The tables below tables.root, for reading alone."""

    def __init__(self, root: str) -> None:
        self.root = absolute(root)
        self._builder = QueryBuilder()
        self._open: set[str] = set()

    def query(self, sql: str, *names: str) -> list[dict[str, Any]]:
        """Return the rows of a query on the named tables.

        Raises MissingInputError for a table that does not exist, ConfigError for one that cannot be read.
        """
        for name in names:
            self._register(name)
        try:
            found = self._builder.execute(sql).read_all()
        except DeltaError as error:
            raise ConfigError(f"the tables at {self.root} cannot be read: {error}") from error
        columns = [column.to_pylist() for column in found.columns]
        return [dict(zip(found.column_names, values, strict=True)) for values in zip(*columns, strict=True)]

    def _register(self, name: str) -> None:
        if name in self._open:
            return
        address = f"{self.root}/{name}"
        try:
            self._builder.register(name, DeltaTable(address))
        except TableNotFoundError as error:
            raise MissingInputError(
                f"there is no table {name} at {self.root}: correct tables.root, or run {TABLES[name].made_by} first"
            ) from error
        except (DeltaError, OSError) as error:
            raise ConfigError(f"{address} cannot be read as a Delta table: {error}") from error
        self._open.add(name)


def literal(text: str) -> str:
    """Return a text as a literal of SQL."""
    quoted = text.replace("'", "''")
    return f"'{quoted}'"
