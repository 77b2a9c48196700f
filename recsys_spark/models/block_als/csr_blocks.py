"""Observations as CSR blocks of contiguous rows, in files that the workers map.

Each side, users and items, has blocks of its own with about as many entries each. The driver receives a histogram of
at most MAX_BUCKETS rows a side, and one small row a block.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.atomic_files import atomic_write
from recsys_spark.core.csr import Csr

__all__ = ["SIDES", "Side", "balanced_bounds", "block_of", "build_side", "read_block", "save_array", "write_block"]

SIDES = ("users", "items")
MAX_BUCKETS = 1 << 14
RESULT = "block INT, row_count BIGINT, entries BIGINT"


@dataclass(frozen=True)
class Side:
    """Blocks of the users or of the items: block b has the rows [bounds[b], bounds[b + 1]).

    `n_rows` counts the rows with entries; the others have no factors.
    """

    name: str
    folder: str
    bounds: tuple[int, ...]
    n_rows: int
    n_entries: int

    @property
    def n_blocks(self) -> int:
        """Return the number of blocks."""
        return len(self.bounds) - 1

    @property
    def length(self) -> int:
        """Return the number of rows of the side, with those without entries."""
        return self.bounds[-1]

    def rows(self, block: int) -> tuple[int, int]:
        """Return the first row of a block, and the row after its last one."""
        return self.bounds[block], self.bounds[block + 1]


def balanced_bounds(counts: NDArray[np.int64], width: int, length: int, n_blocks: int) -> tuple[int, ...]:
    """Return bounds of blocks of about equal work.

    `counts` has the entries of each bucket of `width` rows, and the side has `length` rows. There are at most n_blocks
    blocks, and each has an entry. The work of a row counts as one entry more.
    """
    rows = np.minimum(width, length - width * np.arange(counts.size))
    total = np.cumsum(np.where(counts > 0, counts + rows, 0))
    shares = total[-1] * np.arange(1, n_blocks) / n_blocks
    cuts = width * (np.searchsorted(total, shares) + 1)
    last_used = width * (int(np.flatnonzero(counts)[-1]))
    inner = np.unique(cuts[cuts <= last_used])
    return (0, *inner.tolist(), length)


def build_side(observations: DataFrame, side: str, folder: Path, length: int, n_blocks: int) -> Side:
    """Write the blocks of one side of `observations` (user_idx, item_idx, confidence) and return their bounds.

    `length` is the largest row number plus one. `folder` must be visible to all executors. A task holds the entries of
    one block, about 40 bytes each.
    """
    names = ("user_idx", "item_idx") if side == "users" else ("item_idx", "user_idx")
    row, column = map(F.col, names)
    width = -(-length // MAX_BUCKETS)
    buckets = observations.groupBy(F.floor(row / width).cast("int").alias("bucket")).count().collect()
    counts = np.zeros(-(-length // width), dtype=np.int64)
    counts[[bucket["bucket"] for bucket in buckets]] = [bucket["count"] for bucket in buckets]
    bounds = balanced_bounds(counts, width, length, n_blocks)
    entries = observations.select(
        block_of(row, bounds).alias("block"), row.alias("row"), column.alias("column"), "confidence"
    )
    written = (
        entries.repartition(len(bounds) - 1, "block")
        .groupBy("block")
        .applyInArrow(partial(_write_group, str(folder), bounds), RESULT)
        .collect()
    )
    n_rows, n_entries = (sum(block[name] for block in written) for name in ("row_count", "entries"))
    return Side(side, str(folder), bounds, n_rows, n_entries)


def write_block(
    folder: Path, block: int, rows: NDArray[Any], columns: NDArray[Any], values: NDArray[Any], length: int
) -> int:
    """Write entries as a CSR block and return the number of rows with entries.

    The block has `length` rows. Entries are sorted by row and column, so that equal entries in any order give equal
    files.
    """
    order = np.lexsort((columns, rows))
    counts = np.bincount(rows, minlength=length)
    arrays = {
        "indptr": np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        "indices": columns[order].astype(np.int32),
        "values": values[order].astype(np.float32),
    }
    for name, array in arrays.items():
        save_array(folder / f"{block:05d}-{name}.npy", array)
    return int(np.count_nonzero(counts))


def read_block(side: Side, block: int) -> Csr:
    """Return a block as read-only maps of its files."""
    names = (f"{block:05d}-{name}.npy" for name in ("indptr", "indices", "values"))
    # Plain arrays over the maps: numpy's subclass for maps is slower.
    return Csr(*(np.asarray(np.load(Path(side.folder) / n, mmap_mode="r", allow_pickle=False)) for n in names))


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array atomically."""
    with atomic_write(path) as draft, draft.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def block_of(row: Column, bounds: tuple[int, ...]) -> Column:
    """Return the block of each row number."""
    inner = F.lit(list(bounds[1:-1])).cast("array<int>")
    # The number of bounds at or below the row.
    return F.size(F.filter(inner, lambda bound: bound <= row)) if len(bounds) > 2 else F.lit(0)


def _write_group(folder: str, bounds: tuple[int, ...], entries: pa.Table) -> pa.Table:
    block = int(entries["block"][0].as_py())
    first, last = bounds[block], bounds[block + 1]
    rows, columns, values = (entries[name].to_numpy() for name in ("row", "column", "confidence"))
    n_rows = write_block(Path(folder), block, rows - first, columns, values, last - first)
    results = {"block": pa.array([block], pa.int32()), "row_count": [n_rows], "entries": [len(entries)]}
    return pa.table(results)
