"""Measure of reading shards."""

import pyarrow as pa
import pyarrow.parquet as pq

from recsys_spark.benchmark.comparison import Bench, Comparison, take_turns, timed
from recsys_spark.benchmark.data import describe_size, generate_histories, write_history_shards
from recsys_spark.training.shard_loader import read_file

__all__ = ["shard_loading"]

# Data of the size of MovieLens 1M are read too fast to be timed.
USERS_TIMES = 8
PASSES = 10
FULL_FILES = 8


def shard_loading(bench: Bench) -> Comparison:
    """Compare reading all shards as training does with pyarrow.parquet.read_table.

    Reading for training returns numpy arrays. A file has a cost that does not depend on its
    size, so a smaller scale has fewer files of about the same size.
    """
    n_files = max(1, round(FULL_FILES * bench.scale))
    rows, folder = generate_histories(bench.n_users(USERS_TIMES), bench.n_items, bench.seed), bench.folder / "shards"
    manifest = write_history_shards(bench.spark, rows, bench.n_items, folder, n_files, bench.seed)
    files = [folder / file.name for file in manifest.files]
    ours, reference = take_turns(
        bench.repeats,
        timed(lambda: [read_file(folder, file) for file in manifest.files], PASSES),
        timed(lambda: pq.read_table(files), PASSES),
    )
    return Comparison(
        "shard_loading",
        f"{describe_size(rows, bench.n_items)}, {len(files)} files",
        ours,
        "pyarrow.parquet.read_table",
        reference,
        ">= 0.3",
        {
            "threads": pa.cpu_count(),
            "non_zeros_a_second": round(manifest.non_zeros / ours),
            "bytes_a_file": sum(file.bytes for file in manifest.files) // len(files),
        },
    )
