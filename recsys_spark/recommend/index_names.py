"""From numbers back to the ids that people and SQL know."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

__all__ = ["name_items", "name_users"]


def name_items(rows: DataFrame, item_index: DataFrame, *columns: str) -> DataFrame:
    """Replaces each `..._idx` column of items by the `..._id` column; rows of forgotten items disappear."""
    return _named(rows, item_index, "item", columns)


def name_users(rows: DataFrame, user_index: DataFrame) -> DataFrame:
    """Replaces user_idx by user_id; rows of forgotten users disappear."""
    return _named(rows, user_index, "user", ("user_idx",))


def _named(rows: DataFrame, index: DataFrame, name: str, columns: tuple[str, ...]) -> DataFrame:
    for column in columns:
        ids = index.where(F.col(f"{name}_id").isNotNull()).select(
            F.col(f"{name}_idx").alias(column), F.col(f"{name}_id").alias(column.replace("_idx", "_id"))
        )
        rows = rows.join(ids, on=column, how="inner").drop(column)
    return rows
