"""Tables queried in a Spark session, with the queries of StoredTables."""

from typing import Any

from recsys_spark.storage.query_template import Value, fill, tables_in
from recsys_spark.storage.tables import Tables

__all__ = ["SessionQueries"]


class SessionQueries:
    """Tables of a catalog or below a root, as Spark reads them."""

    # The column `name` in lower case, trimmed, with single spaces.
    normalised_name = r"lower(regexp_replace(trim(name), r'\s+', ' '))"

    def __init__(self, tables: Tables) -> None:
        self.place = tables.place
        self._tables = tables

    def query(self, template: str, **values: Value) -> list[dict[str, Any]]:
        """Return the rows of a query, a template with `{table}` and `{value}`; the caller bounds their number.

        Raises MissingInputError for a table that does not exist.
        """
        for name in tables_in(template):
            self._tables.read(name)
        arguments: dict[str, Any] = {}

        def place(value: str | int) -> str:
            name = f"value_{len(arguments)}"
            arguments[name] = value
            return f":{name}"

        sql = fill(template, values, self._tables.sql_address, place)
        return [row.asDict() for row in self._tables.spark.sql(sql, args=arguments).collect()]
