"""The same folder of tiles as item_matrix.py writes, from arrays that the driver already has.

For models whose item rows are made in one place anyhow, such as a closed form or the output layer of a network:
sending them through Spark would copy them several times for nothing.
"""

import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys_spark.core.errors import TrainingError
from recsys_spark.ranking.item_matrix import MANIFEST, ItemMatrix, _check_size, _reusable, _write_manifest
from recsys_spark.ranking.item_tiles import _save, tile_name

__all__ = ["save_item_matrix"]


def save_item_matrix(
    rows: Iterable[NDArray[np.float32]] | NDArray[np.float32],
    folder: str | os.PathLike[str],
    n_items: int,
    rank: int,
    max_bytes: int,
    tile_items: int = 8192,
) -> ItemMatrix:
    """Writes an (n_items, rank) matrix, given whole or as blocks of rows in order; a complete folder of this shape is
    reused without looking at the rows.

    Blocks may have any lengths; one tile is held in memory. Raises ConfigError for a matrix above `max_bytes`, and
    TrainingError for rows that are not finite; ValueError for blocks that do not make up the shape.
    """
    complete = _reusable(folder, n_items, tile_items)
    if complete is not None and complete.rank == rank:
        return complete
    _check_size(n_items * rank * np.dtype(np.float32).itemsize, max_bytes)
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    (path / MANIFEST).unlink(missing_ok=True)
    matrix = ItemMatrix(str(path), n_items, rank, tile_items, version=uuid.uuid4().hex)
    for number, tile in enumerate(_tiles(iter([rows] if isinstance(rows, np.ndarray) else rows), matrix)):
        if not np.isfinite(tile).all():
            raise TrainingError("Some item vectors are not finite. Train again with stronger regularisation.")
        _save(tile, path / tile_name(number))
    _write_manifest(matrix)
    return ItemMatrix.open(path)


def _tiles(blocks: Iterator[NDArray[np.float32]], matrix: ItemMatrix) -> Iterator[NDArray[np.float32]]:
    """The rows of the blocks, cut anew."""
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


def _next(blocks: Iterator[NDArray[np.float32]], matrix: ItemMatrix) -> NDArray[np.float32]:
    block = next(blocks, None)
    if block is None:
        raise ValueError(f"fewer than {matrix.n_items} rows")
    if block.ndim != 2 or block.shape[1] != matrix.rank:
        raise ValueError(f"a block of shape {block.shape} in a matrix of rank {matrix.rank}")
    return block
