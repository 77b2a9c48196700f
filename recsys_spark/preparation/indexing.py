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
    new, number = new_index_rows(ids, tables.read(index), name)
    if number:
        tables.append(index, new)
    return number


def new_index_rows(ids: DataFrame, index: DataFrame, name: str) -> tuple[DataFrame, int]:
    """Return the numbered ids that an index lacks, and how many they are.

    The rows have `<name>_id` and `<name>_idx`. ids: any frame with `<name>_id`; index: `<name>_id`, `<name>_idx`. The
    ids are divided into ranges, of which each is numbered by a task of its own after the ids of the ranges before it.
    An id's number is its place in the order of all new ids, wherever the ranges end. The driver gets a row a range.
    """
    key, number = f"{name}_id", f"{name}_idx"
    new = ids.select(key).distinct().join(index, on=key, how="left_anti")
    # Kept, because another computation may divide the ids elsewhere.
    ranges = new.repartitionByRange(key).withColumn("range", F.spark_partition_id()).localCheckpoint()
    sizes = ranges.groupBy("range").agg(F.count(F.lit(1)), F.min(key).alias("first")).orderBy("first").collect()
    last = index.agg(F.max(number)).first()
    starts, start = [], 0 if last is None or last[0] is None else last[0] + 1
    for part, size, _ in sizes:
        starts.append((part, start))
        start += size
    offsets = F.broadcast(index.sparkSession.createDataFrame(starts, "range INT, start BIGINT"))
    place = F.row_number().over(Window.partitionBy("range").orderBy(key)) - 1
    numbered = ranges.withColumn("place", place).join(offsets, on="range", how="inner")
    rows = numbered.select(key, (F.col("start") + F.col("place")).cast("int").alias(number))
    return rows, sum(size for _, size, _ in sizes)
