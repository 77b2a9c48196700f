"""Generated play histories with popular items and user tastes.

Speed depends only on the number of entries and their distribution over users and items. Histories are therefore much
simpler, and generated faster, than those of the sample generator, whose tastes and times a model can recover.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.core.csr import Csr
from recsys_spark.core.paths import file_uri, literal_path
from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.preparation.shards import write_shards
from recsys_spark.storage.shard_format import Manifest

__all__ = ["describe_size", "generate_histories", "history_frame", "write_history_shards"]

TASTES = 12
# Factor on the probability of items of a user's own taste.
PREFERENCE = 6.0
# Popularity falls with this power of an item's popularity rank.
POWER = 0.8
SHORTEST = 20
PLAYS = ShardSpec(values="one")


def generate_histories(n_users: int, n_items: int, seed: int) -> Csr:
    """Return one row a user with its items, ascending; every value is 1.

    Users have at least 20 items and at most half of all, about 95 of 3,706 on average. Each draws without replacement:
    the items with the largest sums of log-weight and Gumbel noise.
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
    return Csr.from_lengths(lengths, indices, np.ones(indices.size, np.float32))


def describe_size(rows: Csr, n_items: int) -> str:
    """Return the size of histories as text, for a comparison."""
    return f"{len(rows):,} users x {n_items:,} items, {rows.indices.size:,} pairs"


def history_frame(spark: SparkSession, rows: Csr, file: Path) -> DataFrame:
    """Write histories to a Parquet file and return Spark's frame of it.

    Columns: row_idx INT, indices ARRAY<INT>, values ARRAY<FLOAT>.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    offsets = pa.array(rows.indptr.astype(np.int32))
    columns = {
        "row_idx": pa.array(np.arange(len(rows), dtype=np.int32)),
        "indices": pa.ListArray.from_arrays(offsets, pa.array(rows.indices)),
        "values": pa.ListArray.from_arrays(offsets, pa.array(rows.values)),
    }
    pq.write_table(pa.table(columns), file)
    return spark.read.parquet(literal_path(file_uri(file)))


def write_history_shards(
    spark: SparkSession, rows: Csr, n_items: int, folder: Path, n_files: int, seed: int, shard_spec: ShardSpec = PLAYS
) -> Manifest:
    """Write shards of `rows` to `folder` as write_shards does; return their manifest."""
    frame = history_frame(spark, rows, folder.with_name(f"{folder.name}.parquet"))
    return write_shards(frame, folder, shard_spec, (len(rows), n_items), n_files, seed, {"made": "for the benchmark"})
