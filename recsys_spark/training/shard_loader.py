"""Shard reader based on Petastorm, which is imported in this module alone.

Petastorm 0.13.1 can silently lose row groups in its thread pool, assigns row groups to ranks by position for any seed,
and repeats one order in every epoch. So files are read one by one from an explicit list by the pool without threads.
The epoch schedule assigns files to ranks and orders them. All rows read are counted and compared with the manifest.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from recsys_spark.core.csr import Csr
from recsys_spark.core.errors import TrainingError
from recsys_spark.storage.shard_format import BUFFERS, HELD_BUFFERS, SIDE, SIDE_TYPE, Manifest, ShardFile

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from petastorm import make_batch_reader
    from pyarrow.filesystem import FileSystem

__all__ = ["Counts", "Rows", "check_counts", "read_file"]


@dataclass(frozen=True)
class Rows:
    """Rows of the matrix with their numbers, (n,) int32.

    `held` are the held-out entries of the rows, or None. `side` (n, fields) int32 are features of their users, or None.
    """

    numbers: NDArray[np.int32]
    entries: Csr
    held: Csr | None = None
    side: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return self.numbers.size

    def take(self, rows: NDArray[np.intp]) -> "Rows":
        """Return some rows, in the order of `rows`."""
        held = None if self.held is None else self.held.take(rows)
        side = None if self.side is None else self.side[rows]
        return Rows(self.numbers[rows], self.entries.take(rows), held, side)

    def between(self, start: int, stop: int) -> "Rows":
        """Return rows [start, stop)."""
        held = None if self.held is None else self.held.between(start, stop)
        side = None if self.side is None else self.side[start:stop]
        return Rows(self.numbers[start:stop], self.entries.between(start, stop), held, side)

    @classmethod
    def concat(cls, parts: Sequence["Rows"]) -> "Rows":
        """Return the rows of all parts, in order."""
        held = [part.held for part in parts if part.held is not None]
        side = [part.side for part in parts if part.side is not None]
        numbers = np.concatenate([np.zeros(0, np.int32), *[part.numbers for part in parts]])
        entries = Csr.concat([part.entries for part in parts])
        return cls(numbers, entries, Csr.concat(held) if held else None, np.concatenate(side) if side else None)


@dataclass
class Counts:
    """Numbers of rows, entries and held-out entries read."""

    rows: int = 0
    non_zeros: int = 0
    held_non_zeros: int = 0

    def add(self, rows: Rows) -> None:
        """Add the counts of some rows."""
        self.rows += len(rows)
        self.non_zeros += rows.entries.indices.size
        self.held_non_zeros += 0 if rows.held is None else rows.held.indices.size

    def as_array(self) -> NDArray[np.int64]:
        """Return (rows, non_zeros, held_non_zeros), for sums over ranks."""
        return np.array([self.rows, self.non_zeros, self.held_non_zeros], dtype=np.int64)


def check_counts(read: NDArray[np.int64], manifest: Manifest, folder: Path) -> None:
    """Compare the counts of all ranks in an epoch with the manifest.

    Raises TrainingError if a row or an entry is missing or was read twice.
    """
    stated = np.array([manifest.rows, manifest.non_zeros, manifest.held_non_zeros])
    if not np.array_equal(read, stated):
        raise TrainingError(
            f"{folder} holds {stated[0]} rows, {stated[1]} entries and {stated[2]} held-out entries, but the loader "
            f"read {read[0]}, {read[1]} and {read[2]}: rows were lost or read twice. Run write_shards again; if the "
            "error remains, install the version of Petastorm that this release pins."
        )


class _DecodingFileSystem(FileSystem):  # type: ignore[misc]
    """File system of local files, by the paths of encoded URIs."""

    def isdir(self, path: str) -> bool:
        """Return True if the path is a folder."""
        return Path(unquote(path)).is_dir()

    def isfile(self, path: str) -> bool:
        """Return True if the path is a file."""
        return Path(unquote(path)).is_file()

    def open(self, path: str, mode: str = "rb") -> Any:
        """Open a file."""
        return Path(unquote(path)).open(mode)


def read_file(folder: Path, file: ShardFile) -> Rows:
    """Return all rows of one file.

    Raises TrainingError for a file that cannot be read.
    """
    # Petastorm takes URIs, where # and ? end a path unless they are encoded, but decodes none before it opens files.
    uri = (folder / file.name).absolute().as_uri()
    try:
        # Petastorm prints to stdout when it closes; stdout is reserved for the summary of a job.
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with make_batch_reader(
                [uri],
                reader_pool_type="dummy",
                num_epochs=1,
                shuffle_row_groups=False,
                filesystem=_DecodingFileSystem(),
            ) as reader:
                blocks = [block for group in reader for block in _blocks(group)]
    except Exception as error:  # Petastorm and Arrow raise many kinds of errors
        raise TrainingError(
            f"shard {folder / file.name} cannot be read ({error}): delete the folder and run write_shards again"
        ) from error
    return Rows.concat(blocks)


def _blocks(group: Any) -> Iterator[Rows]:
    for place in range(len(group.rows)):
        numbers, indptr, indices, values = (_array(group, name, kind, place) for name, kind in BUFFERS.items())
        held = None
        if hasattr(group, "held_indptr"):
            held = Csr(*(_array(group, name, kind, place) for name, kind in HELD_BUFFERS.items()))
        side = _array(group, SIDE, SIDE_TYPE, place).reshape(len(numbers), -1) if hasattr(group, SIDE) else None
        yield Rows(numbers, Csr(indptr, indices, values), held, side)


def _array(group: Any, name: str, kind: str, place: int) -> NDArray[Any]:
    return np.frombuffer(getattr(group, name)[place], dtype=kind)
