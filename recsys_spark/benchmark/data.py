"""Histories that look like plays, made in a moment: few items have most of the plays, and users have tastes.

Speed depends on how many entries there are and how they spread over users and items, and on nothing else of them. So
this is not the sample generator, whose tastes and times are there to be found again.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.core.csr import Csr
from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.preparation.shards import write_shards
from recsys_spark.storage.shard_format import Manifest

__all__ = ["histories", "history_frame", "shard_folder", "size_of"]

TASTES = 12
# How many times as likely an item of a user's own taste is.
PREFERENCE = 6.0
# Popularity falls with this power of an item's rank.
POWER = 0.8
SHORTEST = 20
PLAYS = ShardSpec(values="one")


def histories(n_users: int, n_items: int, seed: int) -> Csr:
    """A row a user, its items ascending, every value 1: some 95 items of 3,706 each, 20 at least, half of all at most.

    Users draw without replacement: the items with the largest log-weight plus Gumbel noise.
    """
    generator = np.random.default_rng(seed)
    popularity = -POWER * np.log(generator.permutation(n_items) + 1.0)
    taste_of_item = generator.integers(TASTES, size=n_items)
    taste_of_user = generator.integers(TASTES, size=n_users)
    longest = max(1, n_items // 2)
    lengths = np.minimum(SHORTEST + generator.lognormal(np.log(45), 1, n_users).astype(np.int64), longest)
    rows = []
    for taste, length in zip(taste_of_user, lengths, strict=True):
        keys = popularity + np.log(PREFERENCE) * (taste_of_item == taste) + generator.gumbel(size=n_items)
        rows.append(np.sort(np.argpartition(keys, -length)[-length:]))
    indices = np.concatenate(rows).astype(np.int32)
    return Csr.of_lengths(lengths, indices, np.ones(indices.size, np.float32))


def size_of(rows: Csr, n_items: int) -> str:
    """For a line's `size`."""
    return f"{len(rows):,} users x {n_items:,} items, {rows.indices.size:,} pairs"


def history_frame(spark: SparkSession, rows: Csr, file: Path) -> DataFrame:
    """(row_idx INT, indices ARRAY<INT>, values ARRAY<FLOAT>), which Spark reads from a file that is written here."""
    file.parent.mkdir(parents=True, exist_ok=True)
    offsets = pa.array(rows.indptr.astype(np.int32))
    columns = {
        "row_idx": pa.array(np.arange(len(rows), dtype=np.int32)),
        "indices": pa.ListArray.from_arrays(offsets, pa.array(rows.indices)),
        "values": pa.ListArray.from_arrays(offsets, pa.array(rows.values)),
    }
    pq.write_table(pa.table(columns), file)
    return spark.read.parquet(file.absolute().as_uri())


def shard_folder(
    spark: SparkSession, rows: Csr, n_items: int, folder: Path, n_files: int, seed: int, shard_spec: ShardSpec = PLAYS
) -> Manifest:
    """Shards of `rows` in `folder`, written as the job does it."""
    frame = history_frame(spark, rows, folder.with_name(f"{folder.name}.parquet"))
    return write_shards(frame, folder, shard_spec, (len(rows), n_items), n_files, seed, {"made": "for the benchmark"})
