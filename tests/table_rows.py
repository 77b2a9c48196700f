"""Rows of a table in a form that two tables can be compared by."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

__all__ = ["rows_as_text"]


def rows_as_text(table: DataFrame) -> list[str]:
    """Every row as JSON, sorted."""
    return sorted(row[0] for row in table.select(F.to_json(F.struct("*"))).collect())
