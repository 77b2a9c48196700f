"""Item vectors as a folder of .npy tiles that every executor maps into memory.

Each process of a machine shares the pages of one copy, which no broadcast does, and nothing but the path
travels with a task. The executors write the tiles, so that the driver never holds the matrix. A manifest
written last says that the folder is complete; without it there is no matrix. The price is a folder that all
executors can reach.
"""

import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.atomic_files import remove_drafts, write_json
from recsys_spark.core.errors import ConfigError, MissingInputError, TrainingError
from recsys_spark.ranking.item_tiles import WRITTEN, tile_name, write_tile

__all__ = ["ItemMatrix", "write_item_matrix"]

Integers = NDArray[np.integer[Any]]

MANIFEST = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class ItemMatrix:
    """An (n_items, rank) float32 matrix whose row item_idx is the item's vector, zero where it has none.

    Small to pickle: the arrays are opened where they are used, once a process.
    """

    folder: str
    n_items: int
    rank: int
    tile_items: int
    version: str

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "ItemMatrix":
        """The matrix of a complete folder; MissingInputError if it is not one."""
        path = Path(folder)
        try:
            manifest = json.loads((path / MANIFEST).read_text())
        except FileNotFoundError:
            raise MissingInputError(
                f"{path} holds no complete item matrix (there is no {MANIFEST}). "
                "Run the job that failed again: it writes the matrix anew."
            ) from None
        if manifest.pop("format") != FORMAT:
            raise MissingInputError(f"{path} was written by another version. Delete it: the next job writes it anew.")
        matrix = cls(folder=str(path), **manifest)
        lost = [name for name in map(tile_name, range(matrix.n_tiles)) if not (path / name).is_file()]
        if lost:
            raise MissingInputError(
                f"{path} lacks {lost[0]}. Delete the folder and run the job again; "
                "files.root must be a folder that the driver and every executor share."
            )
        return matrix

    @property
    def n_tiles(self) -> int:
        return -(-self.n_items // self.tile_items)

    def tile(self, number: int) -> NDArray[np.float32]:
        """Rows [number * tile_items, ...) as a read-only map of their file."""
        return _open_tile(self, number)

    def gather(self, item_idx: Integers) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """Places in `item_idx`, (m,), and copies of the vectors there, (m, rank), tile by tile.

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
        """Copies of the vectors of these items, (n, rank); errors as for gather."""
        vectors = np.empty((item_idx.size, self.rank), dtype=np.float32)
        for places, found in self.gather(item_idx):
            vectors[places] = found
        return vectors

    def whole(self) -> NDArray[np.float32]:
        """All rows in memory, (n_items, rank), read once a process: for matrices of a few numbers an item."""
        return _whole(self)

    def norms(self) -> NDArray[np.float64]:
        """Euclidean norms, (n_items,): zero for an item without a vector."""
        return _norms(self)

    def gram(self) -> NDArray[np.float64]:
        """The product of the transposed matrix with itself, (rank, rank)."""
        return _gram(self)


def write_item_matrix(
    item_vectors: DataFrame,
    folder: str | os.PathLike[str],
    n_items: int,
    max_bytes: int,
    tile_items: int = 8192,
) -> ItemMatrix:
    """Writes `item_vectors`, (item_idx INT, vector ARRAY<FLOAT>), as tiles; a complete folder of this shape
    is reused.

    A folder belongs to one set of vectors, such as a model version: its contents are not compared. Each tile
    is one task, written under another name and then renamed, so that retries and duplicates of a task do no
    harm. The driver gets one small row a tile. Raises ConfigError for a matrix above `max_bytes`,
    MissingInputError without any vector, and TrainingError for vectors that cannot make a matrix.
    """
    complete = _reusable(folder, n_items, tile_items)
    if complete is not None:
        return complete
    rank = _rank(item_vectors)
    _check_size(n_items * rank * np.dtype(np.float32).itemsize, max_bytes)
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    (path / MANIFEST).unlink(missing_ok=True)
    matrix = ItemMatrix(str(path), n_items, rank, tile_items, version=uuid.uuid4().hex)
    _write_tiles(item_vectors, matrix)
    _write_manifest(matrix)
    return ItemMatrix.open(path)


def _reusable(folder: str | os.PathLike[str], n_items: int, tile_items: int) -> ItemMatrix | None:
    try:
        matrix = ItemMatrix.open(folder)
    except MissingInputError:
        return None
    return matrix if (matrix.n_items, matrix.tile_items) == (n_items, tile_items) else None


def _rank(item_vectors: DataFrame) -> int:
    first = item_vectors.where("vector is not null").select(F.size("vector")).first()
    if first is None:
        raise MissingInputError("The model has no item vectors. Train it with train_spark_model or train_torch_model.")
    return int(first[0])


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise ConfigError(
            f"The item matrix takes {size:,} bytes, above outputs.max_item_matrix_bytes = {max_bytes:,}. "
            "Raise that key if every executor can map so much; else train with a smaller rank or fewer items."
        )


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
    write = partial(write_tile, Path(matrix.folder), matrix.n_items, matrix.rank, matrix.tile_items)
    failed = (
        vectors.unionByName(every_tile)
        .groupBy("tile")
        .applyInArrow(write, WRITTEN)
        .where("problem is not null")
        .orderBy("tile")
        .first()
    )
    if failed is not None:
        raise TrainingError(failed["problem"])


def _write_manifest(matrix: ItemMatrix) -> None:
    path = Path(matrix.folder)
    remove_drafts(path)
    shape = {"n_items": matrix.n_items, "rank": matrix.rank, "tile_items": matrix.tile_items}
    write_json(path / MANIFEST, {"format": FORMAT, "version": matrix.version, **shape})


@lru_cache(maxsize=1024)
def _open_tile(matrix: ItemMatrix, number: int) -> NDArray[np.float32]:
    path = Path(matrix.folder) / tile_name(number)
    # As a plain array over the map: numpy's subclass for maps slows every operation down.
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
