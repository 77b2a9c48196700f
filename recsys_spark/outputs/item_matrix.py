"""Item vectors as a folder of .npy tiles that every executor maps into memory.

Each process of a machine shares the pages of one copy, which no broadcast does, and nothing but the path
travels with a task. The executors write the tiles, so that the driver never holds the matrix. A manifest
written last says that the folder is complete; without it there is no matrix. The price is a folder that all
executors can reach.
"""

import json
import os
import uuid
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.errors import ConfigError, MissingInputError, TrainingError

__all__ = ["ItemMatrix", "write_item_matrix"]

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
            raise MissingInputError(
                f"{path} was written by another version. Delete it: the next job writes it anew."
            )
        matrix = cls(folder=str(path), **manifest)
        lost = [name for name in map(_tile_name, range(matrix.n_tiles)) if not (path / name).is_file()]
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

    def rows(self, item_idx: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Copies of the vectors of these items, (n, rank); IndexError outside [0, n_items)."""
        if item_idx.size and not 0 <= item_idx.min() <= item_idx.max() < self.n_items:
            raise IndexError(f"item_idx outside [0, {self.n_items})")
        tile_of_item, row = np.divmod(item_idx, self.tile_items)
        vectors = np.empty((item_idx.size, self.rank), dtype=np.float32)
        for number in np.unique(tile_of_item):
            chosen = np.flatnonzero(tile_of_item == number)
            vectors[chosen] = self.tile(int(number)).take(row[chosen], axis=0)
        return vectors

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
        raise MissingInputError(
            "The model has no item vectors. Train it with train_spark_model or train_torch_model."
        )
    return int(first[0])


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise ConfigError(
            f"The item matrix takes {size:,} bytes, above outputs.max_item_matrix_bytes = {max_bytes:,}. Raise that key if "
            "every executor can map so much, or train with a smaller rank or a larger minimum support of items."
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
    written = (
        vectors.unionByName(every_tile)
        .groupBy("tile")
        .applyInArrow(partial(_write_tile, matrix), "tile int, problem string")
        .where("problem is not null")
        .orderBy("tile")
        .first()
    )
    if written is not None:
        raise TrainingError(written["problem"])


def _write_tile(matrix: ItemMatrix, table: pa.Table) -> pa.Table:
    """One tile from its rows; a problem is returned, since an exception would lose its type on the way to the
    driver.
    """
    number = table["tile"][0].as_py()
    item_idx = table["item_idx"].drop_null().to_numpy()
    vectors = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    problem = _problem(matrix, number, item_idx, vectors)
    if problem is None:
        first = number * matrix.tile_items
        tile = np.zeros((min(matrix.tile_items, matrix.n_items - first), matrix.rank), dtype=np.float32)
        tile[item_idx - first] = vectors.reshape(-1, matrix.rank)
        _save(tile, Path(matrix.folder) / _tile_name(number))
    return pa.table({"tile": pa.array([number], pa.int32()), "problem": pa.array([problem], pa.string())})


def _problem(
    matrix: ItemMatrix, tile: int, item_idx: NDArray[np.int32], vectors: NDArray[np.float32]
) -> str | None:
    if not 0 <= tile < matrix.n_tiles or item_idx.max(initial=0) >= matrix.n_items:
        return f"Some item_idx lie outside [0, {matrix.n_items}). Build the item index again, or train again."
    if np.unique(item_idx).size != item_idx.size:
        return "Some items have several vectors. Train the model again."
    if vectors.size != item_idx.size * matrix.rank:
        return f"Item vectors differ in length, some are not {matrix.rank} long. Train the model again."
    if not np.isfinite(vectors).all():
        return "Some item vectors are not finite. Train again with smaller steps or stronger regularisation."
    return None


def _save(array: NDArray[np.float32], path: Path) -> None:
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    with temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _write_manifest(matrix: ItemMatrix) -> None:
    path = Path(matrix.folder)
    for leftover in path.glob("*.tmp"):
        leftover.unlink(missing_ok=True)
    shape = {"n_items": matrix.n_items, "rank": matrix.rank, "tile_items": matrix.tile_items}
    temporary = path / f"{MANIFEST}.tmp"
    temporary.write_text(json.dumps({"format": FORMAT, "version": matrix.version, **shape}, indent=2) + "\n")
    temporary.replace(path / MANIFEST)


def _tile_name(number: int) -> str:
    return f"tile-{number:05d}.npy"


@lru_cache(maxsize=1024)
def _open_tile(matrix: ItemMatrix, number: int) -> NDArray[np.float32]:
    path = Path(matrix.folder) / _tile_name(number)
    tile: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    return tile


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
