"""Interface of tables for answers, whichever engine reads them."""

from typing import Any, Protocol

from recsys_spark.storage.query_template import Value

__all__ = ["Queries"]


class Queries(Protocol):
    """Tables of one place; StoredTables and SessionQueries implement it."""

    place: str
    normalised_name: str

    def query(self, template: str, **values: Value) -> list[dict[str, Any]]:
        """Return the rows of a query, a template with `{table}` and `{value}`."""
