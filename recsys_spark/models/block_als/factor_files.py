"""Factors of one side in files: one array a block, and their product.

A folder belongs to one attempt of one pass and is never written again: tasks that outlive a killed driver cannot touch
the files of the next attempt. `basis` is orthogonal: stored rows times its transpose are the factors.
"""

import math
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys_spark.core.atomic_files import UNSUPPORTED
from recsys_spark.core.errors import MissingInputError
from recsys_spark.models.block_als.csr_blocks import Side, save_array

__all__ = ["BlockResult", "Factors", "finish_factors", "map_rotated", "read_factors", "write_factors"]

Reals = NDArray[np.float32]

# Rows that are converted to float64 at a time.
GRAM_ROWS = 1 << 14


@dataclass(frozen=True)
class BlockResult:
    """Sums of one block: loss and regularisation of its rows, seconds of the task, and what is wrong with it."""

    block: int
    loss: float
    penalty: float
    seconds: float
    problem: str | None = None


@dataclass(frozen=True)
class Factors:
    """Folder of the factors of a side, with the sum of their regularisation."""

    folder: str
    penalty: float

    @property
    def gram(self) -> NDArray[np.float64]:
        """Return the product of the stored factors with themselves, (k, k)."""
        return self._matrix("gram")

    @property
    def basis(self) -> NDArray[np.float64]:
        """Return the basis of the stored factors, (k, k)."""
        return self._matrix("basis")

    def is_complete(self, side: Side) -> bool:
        """Return True if all files exist."""
        names = ["gram.npy", "basis.npy", *(_name(block) for block in range(side.n_blocks))]
        return all((Path(self.folder) / name).is_file() for name in names)

    def _matrix(self, name: str) -> NDArray[np.float64]:
        matrix: NDArray[np.float64] = np.load(Path(self.folder) / f"{name}.npy", allow_pickle=False)
        return matrix


def write_factors(folder: str, block: int, rows: Reals) -> None:
    """Write the factors of a block, (n, k), and their product."""
    gram = np.zeros((rows.shape[1],) * 2)
    for first in range(0, len(rows), GRAM_ROWS):
        wide = rows[first : first + GRAM_ROWS].astype(np.float64)
        gram += wide.T @ wide
    save_array(Path(folder) / f"gram-{block:05d}.npy", gram)
    save_array(Path(folder) / _name(block), rows)


def read_factors(folder: str, block: int, n_rows: int) -> Reals:
    """Return a block as a read-only map; MissingInputError for a file of another size."""
    path = Path(folder) / _name(block)
    try:
        rows: Reals = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, FileNotFoundError) as error:
        raise MissingInputError(_unreadable(path)) from error
    if len(rows) != n_rows:
        raise MissingInputError(_unreadable(path))
    return np.asarray(rows)


def finish_factors(folder: str, side: Side, basis: NDArray[np.float64], penalty: float) -> Factors:
    """Sum the products of all blocks, in their order, and return the factors; the driver holds two k x k matrices."""
    gram = np.zeros_like(basis)
    for block in range(side.n_blocks):
        file = Path(folder) / f"gram-{block:05d}.npy"
        gram += np.load(file, allow_pickle=False)
        file.unlink()
    save_array(Path(folder) / "gram.npy", gram)
    save_array(Path(folder) / "basis.npy", basis)
    return Factors(folder, penalty)


def map_rotated(source: str, side: Side, rotation: Reals, folder: str, first: int) -> Reals:
    """Return all factors of a side times `rotation`, (m, k), as one map.

    The workers of a machine share its pages. The tasks of a pass write it together. Each writes the blocks that no
    other has finished, from block `first` on, and marks a block when it is complete. Two tasks that write the same
    block write the same bytes. A file system that refuses writes within a file, such as a mounted object store, gives
    every worker a copy of its own in memory instead.
    """
    path, rank = Path(folder) / "others.f32", rotation.shape[0]
    try:
        with path.open("ab") as file:
            file.truncate(4 * side.length * rank)
        with path.open("r+b") as file:
            for block in (np.arange(side.n_blocks) + first) % side.n_blocks:
                mark = Path(folder) / f"others-{block:05d}.done"
                if not mark.exists():
                    file.seek(4 * side.bounds[block] * rank)
                    file.write(_rotated(source, side, int(block), rotation).data)
                    file.flush()
                    mark.touch()
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return _assembled(folder, source, side, rotation.tobytes())
    return _open_map(str(path), side.length, rank)


def _rotated(source: str, side: Side, block: int, rotation: Reals) -> Reals:
    start, stop = side.rows(block)
    return np.ascontiguousarray(read_factors(source, block, stop - start) @ rotation)


@lru_cache(maxsize=1)
def _assembled(folder: str, source: str, side: Side, rotation: bytes) -> Reals:
    """Return the factors in memory; `folder` stands for the pass."""
    square = np.frombuffer(rotation, np.float32)
    matrix = square.reshape(-1, math.isqrt(square.size))
    return np.concatenate([_rotated(source, side, block, matrix) for block in range(side.n_blocks)])


@lru_cache(maxsize=2)
def _open_map(path: str, length: int, rank: int) -> Reals:
    if os.path.getsize(path) != 4 * length * rank:
        raise MissingInputError(_unreadable(Path(path)))
    return np.asarray(np.memmap(path, dtype=np.float32, mode="r", shape=(length, rank)))


def _name(block: int) -> str:
    return f"{block:05d}.npy"


def _unreadable(path: Path) -> str:
    return (
        f"{path} is missing or incomplete: run the job again, with files.root on a folder that the driver and every "
        "executor share"
    )
