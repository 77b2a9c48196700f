"""Queries of an evaluation of similar items, and sums of their metrics over users."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.metrics.bootstrap import user_weights
from recsys_spark.metrics.similar_items import QueryValues, query_slices, query_values
from recsys_spark.preparation.held_out_pairs import INPUT, TARGET

__all__ = ["indexed_lists", "queries_of_users", "sum_queries"]

VALUES = "model STRING, user_idx INT, slice INT, " + ", ".join(f"{name} DOUBLE" for name in QueryValues._fields)
SUMS = "model STRING, slice INT, users BIGINT, sums BINARY"


def indexed_lists(lists: DataFrame, item_index: DataFrame) -> DataFrame:
    """Return neighbour_lists by number: (model STRING, item_idx INT, neighbours ARRAY<INT>), nearest first."""
    index = item_index.where("item_id IS NOT NULL")
    others = index.select(F.col("item_id").alias("other"), F.col("item_idx").alias("other_idx"))
    placed = lists.select("model", "item_id", F.posexplode("neighbours").alias("place", "other"))
    numbered = placed.join(others, on="other", how="inner").join(index, on="item_id", how="inner")
    near = numbered.groupBy("model", "item_idx").agg(
        F.array_sort(F.collect_list(F.struct("place", "other_idx"))).alias("near")
    )
    return near.select("model", "item_idx", F.col("near.other_idx").alias("neighbours"))


def queries_of_users(pairs: DataFrame, popularity: DataFrame, lists: DataFrame, versions: DataFrame) -> DataFrame:
    """Return a row for each version, evaluated user and input item.

    `pairs` are evaluation_pairs, `popularity` has (item_idx, users), `lists` are indexed_lists and `versions` has
    (model). Columns: model, user_idx, query_users BIGINT, neighbours ARRAY<INT> (empty without a list), targets
    ARRAY<INT>, target_users ARRAY<BIGINT>. Items without training users have 0.
    """
    users = F.coalesce("users", F.lit(0)).cast("bigint")
    known = pairs.join(popularity, on="item_idx", how="left").withColumn("users", users)
    held_out = known.where(F.col("role") == TARGET).groupBy("user_idx")
    targets = held_out.agg(F.sort_array(F.collect_list(F.struct("item_idx", "users"))).alias("targets"))
    inputs = known.where(F.col("role") == INPUT).select("user_idx", "item_idx", F.col("users").alias("query_users"))
    queries = inputs.join(targets, on="user_idx", how="inner").crossJoin(F.broadcast(versions))
    listed = queries.join(lists, on=["model", "item_idx"], how="left")
    return listed.select(
        "model",
        "user_idx",
        "query_users",
        F.coalesce("neighbours", F.array().cast("array<int>")).alias("neighbours"),
        F.col("targets.item_idx").alias("targets"),
        F.col("targets.users").alias("target_users"),
    )


def sum_queries(queries: DataFrame, k: int, draws: int, seed: int) -> DataFrame:
    """Return weighted sums over users, a row for each model and slice of QUERY_SLICES.

    Columns: model, slice INT, users BIGINT, sums BINARY: float64 (1 + draws, 1 + values), the users, then the sums of
    the users' means of QueryValues over the queries of the slice. A task holds 56 bytes a user.
    """
    names = QueryValues._fields
    values = queries.mapInArrow(partial(_values, k), VALUES)
    sums = [F.sum(name).alias(name) for name in names]
    sliced = values.groupBy("model", "user_idx", "slice").agg(*sums, F.count(F.lit(1)).alias("queries")).persist()
    whole = sliced.groupBy("model", "user_idx").agg(*sums, F.sum("queries").alias("queries"))
    every = sliced.unionByName(whole.withColumn("slice", F.lit(0)))
    means = every.select(
        "model", "slice", "user_idx", *[(F.col(name) / F.col("queries")).alias(name) for name in names]
    )
    return means.groupBy("model", "slice").applyInArrow(partial(_sum_users, draws, seed), SUMS)


def _values(k: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        lengths = batch["neighbours"].value_lengths().to_numpy()
        neighbours = np.full((batch.num_rows, k), -1, dtype=np.int32)
        neighbours[np.arange(k) < lengths[:, None]] = batch["neighbours"].flatten().to_numpy()
        row = np.repeat(np.arange(batch.num_rows), batch["targets"].value_lengths().to_numpy())
        targets, users = (batch[name].flatten().to_numpy() for name in ("targets", "target_users"))
        found = query_values(neighbours, row, targets, users, k)
        slices = query_slices(batch["query_users"].to_numpy()).astype(np.int32)
        columns = {"model": batch["model"], "user_idx": batch["user_idx"], "slice": slices}
        yield pa.RecordBatch.from_pydict({**columns, **found._asdict()})


def _sum_users(draws: int, seed: int, rows: pa.Table) -> pa.Table:
    # Sums do not depend on the order of the shuffle.
    rows = rows.sort_by("user_idx")
    sums = np.zeros((1 + draws, 1 + len(QueryValues._fields)))
    for batch in rows.to_batches(max_chunksize=4096):
        weights = user_weights(batch["user_idx"].to_numpy(), draws, seed)
        values = np.column_stack([batch[name].to_numpy() for name in QueryValues._fields])
        sums += weights.T @ np.column_stack([np.ones(batch.num_rows), values])
    return pa.table(
        {
            "model": [rows["model"][0].as_py()],
            "slice": pa.array([rows["slice"][0].as_py()], pa.int32()),
            "users": [rows.num_rows],
            "sums": pa.array([sums.tobytes()], pa.binary()),
        }
    )
