"""Co-occurrence counts of items: the number of users who have played both items of each pair.

A shuffle of a row for every pair of items of every user would move the square of the data. Instead, each task
multiplies the sparse matrix of its users with itself, a block of rows at a time, and writes the counts to files that
the driver sums. For a few ten thousand items, the limit of a closed form on one machine, this is the fastest way.
Counts are whole numbers, so the sum does not depend on the partitions of the users.
"""

import shutil
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from scipy import sparse

__all__ = ["csr_of_histories", "gram_matrix"]

BLOCK_ITEMS = 1024
# Limit for the files of all tasks together; with more items, fewer tasks are used.
MAX_BYTES = 8 << 30
FILE_SCHEMA = "path STRING, first INT"


def gram_matrix(histories: DataFrame, items: NDArray[np.int32], folder: Path, n_tasks: int) -> NDArray[np.float64]:
    """Return the co-occurrence counts of items, (n, n).

    Entry [i, j], j >= i, is the number of histories that contain both items[i] and items[j]. Entries below the diagonal
    are undefined. `histories` has item_idx ARRAY<INT> of distinct items; items (n,) are ascending, and other items are
    ignored. `folder` must be visible to all executors, and is removed afterwards. It takes 2 n^2 bytes a task, and
    n_tasks is lowered to keep within 8 GiB. A task holds its pairs (about 24 bytes each), the driver 8 n^2 bytes and
    one small row for each task and 1024 items.
    """
    n_tasks = max(1, min(n_tasks, MAX_BYTES // (2 * items.size**2)))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    gram = np.zeros((items.size, items.size))
    try:
        count = partial(_write_counts, folder, items)
        for path, first in histories.select("item_idx").coalesce(n_tasks).mapInArrow(count, FILE_SCHEMA).collect():
            block = np.load(path, mmap_mode="r", allow_pickle=False)
            gram[first : first + len(block), first:] += block
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return gram


def csr_of_histories(
    indptr: NDArray[np.int64], item_idx: NDArray[np.int32], items: NDArray[np.int32], dtype: type[np.number[Any]]
) -> sparse.csr_matrix:
    """Convert CSR histories of item_idx to a matrix of ones, (n_users, n_items), over `items`.

    Items that are not in `items` are left out.
    """
    columns = np.minimum(np.searchsorted(items, item_idx), items.size - 1)
    is_column = items[columns] == item_idx
    kept = np.concatenate(([0], np.cumsum(is_column)))[indptr]
    shape = (indptr.size - 1, items.size)
    return sparse.csr_matrix((np.ones(kept[-1], dtype=dtype), columns[is_column], kept), shape=shape)


def _write_counts(
    folder: Path, items: NDArray[np.int32], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Write the counts of each block of rows to a file.

    File names are new, so that repeated attempts of a task do not collide.
    """
    parts = [_csr(batch, items) for batch in batches if batch.num_rows]
    if not parts:
        return
    users = sparse.vstack(parts, format="csr")
    by_item = users.T.tocsr()
    for first in range(0, items.size, BLOCK_ITEMS):
        counts = (by_item[first : first + BLOCK_ITEMS] @ users[:, first:]).toarray()
        path = folder / f"{uuid.uuid4().hex}.npy"
        np.save(path, counts, allow_pickle=False)
        yield pa.RecordBatch.from_pydict({"path": [str(path)], "first": pa.array([first], pa.int32())})


def _csr(batch: pa.RecordBatch, items: NDArray[np.int32]) -> sparse.csr_matrix:
    histories = batch["item_idx"]
    indptr = np.concatenate(([0], np.cumsum(histories.value_lengths().to_numpy(), dtype=np.int64)))
    return csr_of_histories(indptr, histories.flatten().to_numpy(), items, np.int32)
