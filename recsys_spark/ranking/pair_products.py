"""Sums over shared users for all pairs of items, in blocks of items.

A row for each pair of items of each user would be the square of the data. So a task multiplies the sparse matrix of its
users with itself, a block of items at a time, and one compressed row of every block goes through the shuffle. The task
that receives the rows of a block adds them up. Neither the driver nor a task holds the matrix of all pairs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["PRODUCTS", "BlockSums", "block_width", "item_products", "sum_products"]

# Largest number of pairs in the matrix of one block.
BLOCK_ENTRIES = 1 << 20
MAX_BLOCK_ITEMS = 1024
# `part` orders the rows of a block, so that sums do not depend on the order of the shuffle.
COLUMNS: dict[str, Any] = {"indptr": np.int64, "items": np.int32, "sums": np.float64, "users": np.int32}
PRODUCTS = "block INT, part INT, " + ", ".join(f"{name} BINARY" for name in COLUMNS)


@dataclass(frozen=True)
class BlockSums:
    """Sums for pairs of the items of a block with all items.

    `first` is the first item of the block, and both arrays are (items of the block, n_items).
    """

    first: int
    sums: NDArray[np.float64]
    users: NDArray[np.int32]


def block_width(n_items: int) -> int:
    """Return the number of items of a block, at least one."""
    return max(1, min(MAX_BLOCK_ITEMS, BLOCK_ENTRIES // max(1, n_items)))


def item_products(weighted: sparse.csr_matrix, part: int) -> Iterator[pa.RecordBatch]:
    """Yield a row of PRODUCTS for each block of items with users.

    `weighted` is (n_users, n_items).
    Sums are those of the products of two items' weights over the users, and `users` counts the terms. Weights are
    above zero.
    """
    by_item = weighted.T.tocsr()
    by_item.sort_indices()
    width = block_width(weighted.shape[1])
    for first in range(0, weighted.shape[1], width):
        rows = by_item[first : first + width]
        if not rows.nnz:
            continue
        sums = rows @ weighted
        # The same structure in the same order, as both come from the same two patterns.
        counts = _pattern(rows) @ _pattern(weighted)
        arrays = (sums.indptr, sums.indices, sums.data, counts.data)
        columns = {
            name: pa.array([array.astype(dtype).tobytes()], pa.binary())
            for (name, dtype), array in zip(COLUMNS.items(), arrays, strict=True)
        }
        place = {"block": pa.array([first // width], pa.int32()), "part": pa.array([part], pa.int32())}
        yield pa.RecordBatch.from_pydict({**place, **columns})


def sum_products(rows: pa.Table, n_items: int) -> BlockSums:
    """Return the sums of all rows of one block.

    The task holds these rows, at most 16 MiB each, and 12 MiB of sums, or twelve bytes an item above a million items.
    """
    width = block_width(n_items)
    first = rows["block"][0].as_py() * width
    shape = (min(width, n_items - first), n_items)
    total = BlockSums(first, np.zeros(shape), np.zeros(shape, dtype=np.int32))
    for row in np.argsort(rows["part"].to_numpy(), kind="stable"):
        indptr, items, sums, users = (
            np.frombuffer(rows[name][int(row)].as_buffer(), dtype) for name, dtype in COLUMNS.items()
        )
        # A pair occurs once in a row, so that an addition by index is complete.
        place = np.repeat(np.arange(shape[0]), np.diff(indptr)), items
        total.sums[place] += sums
        total.users[place] += users
    return total


def _pattern(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    ones = np.ones(matrix.nnz, dtype=np.int32)
    return sparse.csr_matrix((ones, matrix.indices, matrix.indptr), shape=matrix.shape)
