"""Writers of item matrices: from Spark rows by the executors, or from arrays by the driver.

Both write the same folder: tiles, each by a draft that is renamed, then the manifest.
"""

import os
import uuid
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.atomic_files import atomic_write, remove_drafts, write_json
from recsys_spark.core.errors import ConfigError, MissingInputError, TrainingError
from recsys_spark.ranking.item_matrix import FORMAT, MANIFEST, ItemMatrix, tile_name

__all__ = ["write_item_arrays", "write_item_matrix"]

TILE_ITEMS = 8192
TILE_RESULT = "tile INT, problem STRING"

Vectors = NDArray[np.float32]


def write_item_matrix(
    item_vectors: DataFrame,
    folder: str | os.PathLike[str],
    n_items: int,
    max_bytes: int,
    tile_items: int = TILE_ITEMS,
) -> ItemMatrix:
    """Write `item_vectors`, (item_idx INT, vector ARRAY<FLOAT>), as tiles by the executors.

    A complete folder of this shape is reused. A folder belongs to one set of vectors, such as a model version: its
    content is not compared. Each tile is one task; retries and duplicates of a task write the same file. The driver
    receives one small row a tile. Raises ConfigError for a matrix above `max_bytes`, MissingInputError without any
    vector, and TrainingError for vectors that do not form a matrix.
    """
    complete = _find_complete(folder, n_items, tile_items)
    if complete is not None:
        return complete
    matrix = _begin(folder, n_items, _rank(item_vectors), tile_items, max_bytes)
    _write_tiles(item_vectors, matrix)
    return _finish(matrix)


def write_item_arrays(
    rows: Iterable[Vectors] | Vectors,
    folder: str | os.PathLike[str],
    n_items: int,
    rank: int,
    max_bytes: int,
    tile_items: int = TILE_ITEMS,
) -> ItemMatrix:
    """Write an (n_items, rank) matrix from arrays of the driver.

    `rows` is the whole matrix or blocks of rows in order, of any lengths; one tile is held in memory. A complete folder
    of this shape is reused without reading the rows. Raises ConfigError for a matrix above `max_bytes`, TrainingError
    for rows that are not finite, and ValueError for blocks of another shape.
    """
    complete = _find_complete(folder, n_items, tile_items)
    if complete is not None and complete.rank == rank:
        return complete
    matrix = _begin(folder, n_items, rank, tile_items, max_bytes)
    for number, tile in enumerate(_cut(iter([rows] if isinstance(rows, np.ndarray) else rows), matrix)):
        if not np.isfinite(tile).all():
            raise TrainingError(
                f"some item vectors for {matrix.folder} are not finite: train the model again with stronger "
                "regularisation"
            )
        _save(tile, Path(matrix.folder), number)
    return _finish(matrix)


def _find_complete(folder: str | os.PathLike[str], n_items: int, tile_items: int) -> ItemMatrix | None:
    try:
        matrix = ItemMatrix.open(folder)
    except MissingInputError:
        return None
    return matrix if (matrix.n_items, matrix.tile_items) == (n_items, tile_items) else None


def _begin(folder: str | os.PathLike[str], n_items: int, rank: int, tile_items: int, max_bytes: int) -> ItemMatrix:
    """Make the folder incomplete and return its matrix to be; ConfigError above `max_bytes`."""
    size = n_items * rank * np.dtype(np.float32).itemsize
    if size > max_bytes:
        raise ConfigError(
            f"the item matrix takes {size:,} bytes, above outputs.max_item_matrix_bytes = {max_bytes:,}: raise that "
            "key if every executor can map as much, or train with a smaller rank or fewer items"
        )
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    (path / MANIFEST).unlink(missing_ok=True)
    return ItemMatrix(str(path), n_items, rank, tile_items, version=uuid.uuid4().hex)


def _finish(matrix: ItemMatrix) -> ItemMatrix:
    """Write the manifest, which completes the folder, and open the matrix."""
    path = Path(matrix.folder)
    remove_drafts(path)
    shape = {"n_items": matrix.n_items, "rank": matrix.rank, "tile_items": matrix.tile_items}
    write_json(path / MANIFEST, {"format": FORMAT, "version": matrix.version, **shape})
    return ItemMatrix.open(path)


def _save(tile: Vectors, folder: Path, number: int) -> None:
    with atomic_write(folder / tile_name(number)) as draft, draft.open("wb") as file:
        np.save(file, tile, allow_pickle=False)


def _rank(item_vectors: DataFrame) -> int:
    first = item_vectors.where("vector is not null").select(F.size("vector")).first()
    if first is None:
        raise MissingInputError("the model has no item vectors: run train_spark_model or train_torch_model")
    return int(first[0])


def _write_tiles(item_vectors: DataFrame, matrix: ItemMatrix) -> None:
    vectors = item_vectors.where("vector is not null").select(
        F.floor(F.col("item_idx") / matrix.tile_items).cast("int").alias("tile"), "item_idx", "vector"
    )
    # A row without an item for every tile, so that tiles without any vector are written as well.
    every_tile = item_vectors.sparkSession.range(matrix.n_tiles).select(
        F.col("id").cast("int").alias("tile"),
        F.lit(None).cast("int").alias("item_idx"),
        F.lit(None).cast("array<float>").alias("vector"),
    )
    failed = (
        vectors.unionByName(every_tile)
        .groupBy("tile")
        .applyInArrow(partial(_write_tile, matrix), TILE_RESULT)
        .where("problem is not null")
        .orderBy("tile")
        .first()
    )
    if failed is not None:
        raise TrainingError(failed["problem"])


def _write_tile(matrix: ItemMatrix, table: pa.Table) -> pa.Table:
    """Write the tile of the rows `table` and return one row of TILE_RESULT.

    Columns: tile INT, item_idx INT, vector ARRAY<FLOAT>; a row with null item_idx stands for no item. A problem is
    returned, since an exception would lose its type on the way to the driver.
    """
    number = table["tile"][0].as_py()
    first, last = number * matrix.tile_items, min((number + 1) * matrix.tile_items, matrix.n_items)
    item_idx = table["item_idx"].drop_null().to_numpy()
    vectors = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    problem = _problem(item_idx, vectors, first, last, matrix.rank)
    if problem is None:
        tile = np.zeros((last - first, matrix.rank), dtype=np.float32)
        tile[item_idx - first] = vectors.reshape(-1, matrix.rank)
        _save(tile, Path(matrix.folder), number)
    return pa.table({"tile": pa.array([number], pa.int32()), "problem": pa.array([problem], pa.string())})


def _problem(item_idx: NDArray[np.int32], vectors: Vectors, first: int, last: int, rank: int) -> str | None:
    if ((item_idx < max(first, 0)) | (item_idx >= last)).any():
        return "some item_idx are not in the item index: run build_interactions, then train the model again"
    if np.unique(item_idx).size != item_idx.size:
        return "some items have several vectors: train the model again"
    if vectors.size != item_idx.size * rank:
        return f"item vectors differ in length, some are not {rank} long: train the model again"
    if not np.isfinite(vectors).all():
        return "some item vectors are not finite: train again with smaller steps or stronger regularisation"
    return None


def _cut(blocks: Iterator[Vectors], matrix: ItemMatrix) -> Iterator[Vectors]:
    """Yield the rows of the blocks as tiles of the matrix."""
    block = np.empty((0, matrix.rank), dtype=np.float32)
    for first in range(0, matrix.n_items, matrix.tile_items):
        tile = np.empty((min(matrix.tile_items, matrix.n_items - first), matrix.rank), dtype=np.float32)
        filled = 0
        while filled < len(tile):
            if not len(block):
                block = _next(blocks, matrix)
            part, block = block[: len(tile) - filled], block[len(tile) - filled :]
            tile[filled : filled + len(part)] = part
            filled += len(part)
        yield tile
    if len(block) or any(len(rest) for rest in blocks):
        raise ValueError(f"more than {matrix.n_items} rows")


def _next(blocks: Iterator[Vectors], matrix: ItemMatrix) -> Vectors:
    block = next(blocks, None)
    if block is None:
        raise ValueError(f"fewer than {matrix.n_items} rows")
    if block.ndim != 2 or block.shape[1] != matrix.rank:
        raise ValueError(f"a block of shape {block.shape} in a matrix of rank {matrix.rank}")
    return block
