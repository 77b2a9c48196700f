"""Tables read by delta-rs, without Spark, for answers in a second.

Queries are SQL of DataFusion. Its predicates skip files and row groups, and only the named columns are read.
"""

from typing import Any

from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import DeltaError, TableNotFoundError

from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.core.paths import absolute
from recsys_spark.storage.query_template import Value, fill, tables_in
from recsys_spark.storage.schemas import TABLES

__all__ = ["StoredTables"]


class StoredTables:
    """The tables below tables.root, for reading alone; each at the version of its first query."""

    # The column `name` in lower case, trimmed, with single spaces.
    normalised_name = r"lower(regexp_replace(trim(name), '\s+', ' ', 'g'))"

    def __init__(self, root: str) -> None:
        self.place = absolute(root)
        self._builder = QueryBuilder()
        self._open: set[str] = set()

    def query(self, template: str, **values: Value) -> list[dict[str, Any]]:
        """Return the rows of a query, a template with `{table}` and `{value}`.

        Raises MissingInputError for a table that does not exist, ConfigError for one that cannot be read.
        """
        for name in tables_in(template):
            self._register(name)
        try:
            found = self._builder.execute(fill(template, values, str, _literal)).read_all()
        except DeltaError as error:
            raise ConfigError(f"the tables at {self.place} cannot be read: {error}") from error
        columns = [column.to_pylist() for column in found.columns]
        return [dict(zip(found.column_names, row, strict=True)) for row in zip(*columns, strict=True)]

    def _register(self, name: str) -> None:
        if name in self._open:
            return
        address = f"{self.place}/{name}"
        try:
            self._builder.register(name, DeltaTable(address))
        except TableNotFoundError as error:
            raise MissingInputError(
                f"there is no table {name} at {self.place}: correct tables.root, or run {TABLES[name].made_by} first"
            ) from error
        except (DeltaError, OSError) as error:
            raise ConfigError(f"{address} cannot be read as a Delta table: {error}") from error
        self._open.add(name)


def _literal(value: str | int) -> str:
    quoted = str(value).replace("'", "''")
    return str(value) if isinstance(value, int) else f"'{quoted}'"
