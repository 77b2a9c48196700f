"""Pairs of users and items as rows of a sparse matrix, by a ShardSpec."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.shard_spec import ShardSpec

__all__ = ["history_order", "sparse_rows", "value_column", "with_held_out"]


def sparse_rows(pairs: DataFrame, shard_spec: ShardSpec) -> DataFrame:
    """Return pairs as sparse rows: (row_idx INT, indices ARRAY<INT>, values ARRAY<FLOAT>).

    `pairs` has user_idx, item_idx, play_count, rating, last_played_at; one row a pair. Rows without an entry do not
    appear. A row's entries are one array: a user's whole history, or an item's users, has to fit into a task.
    """
    row, column = ("user_idx", "item_idx") if shard_spec.rows == "users" else ("item_idx", "user_idx")
    order, value = history_order(shard_spec.order), value_column(shard_spec)
    entry = F.struct(*order, F.col(column).alias("column"), value.alias("value"))
    return (
        pairs.select(F.col(row).alias("row_idx"), entry.alias("entry"))
        .where("entry.value IS NOT NULL")
        .groupBy("row_idx")
        .agg(F.sort_array(F.collect_list("entry")).alias("entries"))
        .select("row_idx", F.col("entries.column").alias("indices"), F.col("entries.value").alias("values"))
    )


def with_held_out(rows: DataFrame, held_out: DataFrame) -> DataFrame:
    """Add `held_indices` and `held_values` to the `rows` (sparse_rows) that have held-out entries.

    Rows of `held_out` without an input entry get empty `indices` and `values`: they count in validation as well.
    """
    held = held_out.select("row_idx", F.col("indices").alias("held_indices"), F.col("values").alias("held_values"))
    joined = held.join(rows, on="row_idx", how="left")
    empty = {"indices": "array<int>", "values": "array<float>"}
    return joined.select(
        "row_idx",
        *[F.coalesce(F.col(name), F.array().cast(kind)).alias(name) for name, kind in empty.items()],
        "held_indices",
        "held_values",
    )


def history_order(order: str) -> list[Column]:
    """Return the columns that sort the entries of a history before their number.

    None with `order` column. With `time` the time of the last play; entries of equal or no times are in the order of a
    hash, since a network would learn from an order by number.
    """
    if order != "time":
        return []
    return [F.col("last_played_at").alias("time"), F.xxhash64("user_idx", "item_idx").alias("tie")]


def value_column(shard_spec: ShardSpec) -> Column:
    """Return the value FLOAT of a pair; null where it has none."""
    values = {
        "one": F.lit(1.0),
        "confidence": F.log1p(F.col("play_count").cast("double")),
        "rating": F.col("rating"),
    }
    return values[shard_spec.values].cast("float")
