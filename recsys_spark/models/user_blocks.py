"""Weighted histories as blocks of a sparse matrix, for algorithms of many passes.

Users are distributed over tasks once. The rows of each task are kept as CSR arrays in a few binary columns, which take
a tenth of the memory of rows of pairs and need no conversion before products. The result of a pass is as wide as the
catalogue: tasks write it to files, and the driver sums them.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy import sparse

from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.matrix_frames import vectors_to_arrow
from recsys_spark.ranking.scorer import Histories, HistoryEncoder

__all__ = ["Share", "csr_blocks", "encode_users", "sum_over_blocks", "user_blocks"]

# Computes the part of a sum for the matrix (n_users, n_items) of a task.
Share = Callable[[sparse.csr_matrix], NDArray[np.float64]]

BLOCK_PAIRS = 1 << 20
COLUMNS = {"users": np.int32, "indptr": np.int64, "items": np.int32, "weights": np.float32}
BLOCK = ", ".join(f"{name} BINARY" for name in COLUMNS)
FILE_SCHEMA = "path STRING, users BIGINT"


def user_blocks(weighted: DataFrame, n_tasks: int) -> DataFrame:
    """Return CSR blocks of `weighted` (user_idx, item_idx, confidence; one row a pair) in `n_tasks` partitions.

    Pairs with a null or zero weight are left out, and so are users without other pairs. Columns are users (n,) int32
    ascending, indptr (n + 1,) int64, items (nnz,) int32, weights (nnz,) float32, all as bytes. A block has whole users
    and about a million pairs, or the pairs of one user if these are more.
    """
    pairs = weighted.select(
        F.col("user_idx").cast("int"), F.col("item_idx").cast("int"), F.col("confidence").cast("float")
    ).where("confidence <> 0")
    in_order = pairs.repartition(n_tasks, "user_idx").sortWithinPartitions("user_idx", "item_idx")
    return in_order.mapInArrow(_to_blocks, BLOCK)


def sum_over_blocks(blocks: DataFrame, n_items: int, share: Share, folder: Path) -> tuple[NDArray[np.float64], int]:
    """Return the sum of `share` over all tasks, and the number of users.

    The sum is empty if there are no users. `folder` must be visible to all executors. Each task writes a file as large
    as the sum, which is removed afterwards. A task holds its pairs (about 24 bytes each), the driver the sum and a row
    for each task.
    """
    total, users = np.zeros(0), 0
    for path, number in blocks.mapInArrow(partial(_write_share, folder, n_items, share), FILE_SCHEMA).collect():
        part = np.load(path, allow_pickle=False)
        total = np.add(total, part, out=total) if users else part
        users += number
        Path(path).unlink()
    return total, users


def encode_users(blocks: DataFrame, matrix: ItemMatrix, encoder: HistoryEncoder) -> DataFrame:
    """Return (user_idx INT, vector ARRAY<FLOAT>) by the encoder, without users whose vector is zero."""
    return blocks.mapInArrow(partial(_encode, matrix, encoder), "user_idx INT, vector ARRAY<FLOAT>")


def _to_blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    waiting: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        waiting.append(batch)
        size += batch.num_rows
        if size >= BLOCK_PAIRS:
            pairs = pa.Table.from_batches(waiting)
            users = pairs["user_idx"].to_numpy()
            # The next batch may continue with the last user.
            whole = int(np.searchsorted(users, users[-1]))
            if whole:
                yield _block(pairs.slice(0, whole))
            waiting, size = pairs.slice(whole).to_batches(), size - whole
    if size:
        yield _block(pa.Table.from_batches(waiting))


def _block(pairs: pa.Table) -> pa.RecordBatch:
    users, starts = np.unique(pairs["user_idx"].to_numpy(), return_index=True)
    arrays = (users, np.append(starts, len(pairs)), pairs["item_idx"].to_numpy(), pairs["confidence"].to_numpy())
    columns = zip(COLUMNS.items(), arrays, strict=True)
    return pa.RecordBatch.from_pydict(
        {name: pa.array([array.astype(dtype).tobytes()], pa.binary()) for (name, dtype), array in columns}
    )


def csr_blocks(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[NDArray[np.int32], Histories]]:
    """Yield the users and histories of each block of user_blocks."""
    for batch in batches:
        for row in range(batch.num_rows):
            users, *history = (np.frombuffer(batch[name][row].as_buffer(), dtype) for name, dtype in COLUMNS.items())
            yield users, Histories(*history)


def _write_share(
    folder: Path, n_items: int, share: Share, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Write a task's part to a file.

    Its name is new, so that repeated attempts of a task do not collide.
    """
    parts = [history for _, history in csr_blocks(batches)]
    if not parts:
        return
    lengths = np.concatenate([np.diff(part.indptr) for part in parts])
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    items = np.concatenate([part.item_idx for part in parts])
    weights = np.concatenate([part.confidence for part in parts]).astype(np.float64)
    users = sparse.csr_matrix((weights, items, indptr), (lengths.size, n_items))
    path = folder / f"{uuid.uuid4().hex}.npy"
    np.save(path, share(users), allow_pickle=False)
    yield pa.RecordBatch.from_pydict({"path": [str(path)], "users": [lengths.size]})


def _encode(matrix: ItemMatrix, encoder: HistoryEncoder, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for users, histories in csr_blocks(batches):
        vectors = encoder(matrix, histories)
        has_vector = vectors.any(axis=1)
        yield vectors_to_arrow("user_idx", users[has_vector], vectors[has_vector])
