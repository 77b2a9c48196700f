"""How fast shards are read: ours is checked, counted numpy arrays, the reference bare Arrow."""

import pyarrow as pa
import pyarrow.parquet as pq

from recsys_spark.benchmark.data import histories, shard_folder, size_of
from recsys_spark.benchmark.measure import Bench, Line, take_turns, timed
from recsys_spark.training.shard_loader import Counts, read_rows

__all__ = ["shard_loading"]

# A single MovieLens-1M is read too fast to be timed.
USERS_TIMES = 8
PASSES = 10
FULL_FILES = 8


def shard_loading(bench: Bench) -> Line:
    """All shards as training reads them, against pyarrow.parquet.read_table of the same files.

    Each file costs some time however small it is. So there are fewer at a smaller scale, of about the same size.
    """
    n_files = max(1, round(FULL_FILES * bench.scale))
    rows, folder = histories(bench.n_users(USERS_TIMES), bench.n_items, bench.seed), bench.folder / "shards"
    manifest = shard_folder(bench.spark, rows, bench.n_items, folder, n_files, bench.seed)
    files = [folder / file.name for file in manifest.files]
    ours, reference = take_turns(
        bench.repeats,
        timed(lambda: list(read_rows(folder, manifest.files, Counts())), PASSES),
        timed(lambda: pq.read_table(files), PASSES),
    )
    return Line(
        "shard_loading",
        f"{size_of(rows, bench.n_items)}, {len(files)} files",
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
