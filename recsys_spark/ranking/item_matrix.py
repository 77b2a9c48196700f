"""Item vectors as a folder of .npy tiles that every executor memory-maps.

All processes of a machine share the pages of one copy, which a broadcast cannot, and only the path is sent with a task.
The driver never holds the matrix. A manifest is written last: a folder without it is incomplete. The folder must be
reachable from all executors.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys_spark.core.errors import MissingInputError

__all__ = ["FORMAT", "MANIFEST", "ItemMatrix", "tile_name"]

Integers = NDArray[np.integer[Any]]

MANIFEST = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class ItemMatrix:
    """A float32 matrix (n_items, rank) of item vectors in a folder of tiles.

    Row item_idx is the item's vector, zero for an item without one. Small to pickle: each process that uses the arrays
    opens them once.
    """

    folder: str
    n_items: int
    rank: int
    tile_items: int
    version: str

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "ItemMatrix":
        """Return the matrix of a complete folder.

        Raises MissingInputError for an incomplete folder and for one of another format.
        """
        path = Path(folder)
        try:
            manifest = json.loads((path / MANIFEST).read_text())
        except FileNotFoundError:
            raise MissingInputError(
                f"{path} holds no complete item matrix, as there is no {MANIFEST}: run the job that failed again, "
                "which writes the matrix again"
            ) from None
        if manifest.pop("format") != FORMAT:
            raise MissingInputError(
                f"the item matrix in {path} has the format of another release: delete the folder; the next job writes "
                "it again"
            )
        matrix = cls(folder=str(path), **manifest)
        lost = [name for name in map(tile_name, range(matrix.n_tiles)) if not (path / name).is_file()]
        if lost:
            raise MissingInputError(
                f"{path} lacks {lost[0]}: delete the folder and run the job again, with files.root on a folder that "
                "the driver and every executor share"
            )
        return matrix

    @property
    def n_tiles(self) -> int:
        """Return the number of tiles."""
        return -(-self.n_items // self.tile_items)

    def tile(self, number: int) -> NDArray[np.float32]:
        """Return rows [number * tile_items, ...) as a read-only memory map."""
        return _open_tile(self, number)

    def gather(self, item_idx: Integers) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """Yield places in `item_idx`, (m,), and copies of their vectors, (m, rank), by tile.

        Raises IndexError for an item outside [0, n_items).
        """
        if item_idx.size and not 0 <= item_idx.min() <= item_idx.max() < self.n_items:
            raise IndexError(f"item_idx outside [0, {self.n_items})")
        tile_of_item = item_idx // self.tile_items
        for number in np.flatnonzero(np.bincount(tile_of_item)):
            places = np.flatnonzero(tile_of_item == number)
            rows = item_idx[places] - number * self.tile_items
            yield places, self.tile(int(number)).take(rows, axis=0)

    def rows(self, item_idx: Integers) -> NDArray[np.float32]:
        """Return copies of the vectors of these items, (n, rank); errors as for gather."""
        vectors = np.empty((item_idx.size, self.rank), dtype=np.float32)
        for places, found in self.gather(item_idx):
            vectors[places] = found
        return vectors

    def whole(self) -> NDArray[np.float32]:
        """Return all rows in memory, (n_items, rank), read once a process.

        For matrices of low rank only.
        """
        return _whole(self)

    def norms(self) -> NDArray[np.float64]:
        """Return Euclidean norms, (n_items,): zero for an item without a vector."""
        return _norms(self)

    def gram(self) -> NDArray[np.float64]:
        """Return the product of the transposed matrix with itself, (rank, rank)."""
        return _gram(self)


def tile_name(number: int) -> str:
    """Return the file name of a tile."""
    return f"tile-{number:05d}.npy"


@lru_cache(maxsize=1024)
def _open_tile(matrix: ItemMatrix, number: int) -> NDArray[np.float32]:
    path = Path(matrix.folder) / tile_name(number)
    # A plain array over the map: numpy's subclass for memory maps slows every operation down.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


@lru_cache(maxsize=8)
def _whole(matrix: ItemMatrix) -> NDArray[np.float32]:
    return np.concatenate([matrix.tile(number) for number in range(matrix.n_tiles)])


@lru_cache(maxsize=4)
def _norms(matrix: ItemMatrix) -> NDArray[np.float64]:
    tiles = (matrix.tile(number) for number in range(matrix.n_tiles))
    squares = [np.einsum("ij,ij->i", tile, tile, dtype=np.float64) for tile in tiles]
    norms: NDArray[np.float64] = np.sqrt(np.concatenate(squares))
    return norms


@lru_cache(maxsize=4)
def _gram(matrix: ItemMatrix) -> NDArray[np.float64]:
    gram = np.zeros((matrix.rank, matrix.rank))
    for number in range(matrix.n_tiles):
        tile = matrix.tile(number).astype(np.float64)
        gram += tile.T @ tile
    return gram
