"""Stable indexes: contiguous numbers of ids from 0, assigned once and never changed.

Matrices are indexed by these numbers, so that vectors of older models stay readable only while the numbers hold. New
ids are numbered in the order of the ids themselves: the same delivery gives the same numbers.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from recsys_spark.storage.tables import Tables

__all__ = ["extend_index", "new_index_rows"]


def extend_index(tables: Tables, name: str, ids: DataFrame) -> int:
    """Append ids of a frame with `<name>_id` that the table `<name>_index` lacks; return their number."""
    index = f"{name}_index"
    new = new_index_rows(ids, tables.read(index), name).localCheckpoint()
    number = new.count()
    if number:
        tables.append(index, new)
    return number


def new_index_rows(ids: DataFrame, index: DataFrame, name: str) -> DataFrame:
    """Return rows to append to an index: `<name>_id`, `<name>_idx` for the ids that it lacks.

    ids: any frame with `<name>_id`; index: `<name>_id`, `<name>_idx`. A single task numbers the new ids of one batch;
    it sorts ids alone and spills to disk. No ids reach the driver.
    """
    key, number = f"{name}_id", f"{name}_idx"
    new = ids.select(key).distinct().join(index, on=key, how="left_anti")
    first = index.agg(F.coalesce(F.max(number) + 1, F.lit(0)).alias("first"))
    position = F.row_number().over(Window.orderBy(key)) - 1
    numbered = new.withColumn("position", position).join(F.broadcast(first), how="cross")
    return numbered.select(key, (F.col("first") + F.col("position")).cast("int").alias(number))
