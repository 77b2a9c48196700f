"""Schedule of an epoch: assignment of shard rows to streams, and of streams to ranks.

The rows of an epoch are divided among streams of equal length; a stream may begin and end within a file. Row k of the
epoch is row k // S of stream k mod S, for S streams, and a step takes the next `batch_rows` of them. So every step but
the last of an epoch has `batch_rows` rows, for any number of files and ranks. A rank reads every W-th stream, W being
the number of ranks. So the rows of a step are the same for any number of ranks that divides the streams, every rank
computes the number of steps without communication, and every row counts exactly once per epoch.

Networks that pad rows to the longest of a batch need rows of similar lengths in a step. For these the rows of some
steps are sorted together, in every stream alike; the order of the steps stays random.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys_spark.storage.shard_format import Manifest, ShardFile
from recsys_spark.training.shard_loader import Counts, Rows, read_file

__all__ = ["WINDOW_STEPS", "Epoch", "derive_seed", "group_by_length"]

STREAMS = 4
# Steps whose rows are sorted by length together.
WINDOW_STEPS = 32


def derive_seed(*parts: int | str) -> int:
    """Return a seed in [0, 2**32) that depends on `parts` alone.

    Equal parts give equal seeds on any rank and after any restart.
    """
    return zlib.crc32(repr(parts).encode())


@dataclass(frozen=True)
class Epoch:
    """One pass over the shards of `folder`, in batches of `batch_rows` over all ranks.

    `shuffle_seed` None keeps the stored order. `similar_lengths` puts rows of similar lengths into one step.
    """

    folder: Path
    manifest: Manifest
    batch_rows: int
    world: int
    shuffle_seed: int | None = None
    similar_lengths: bool = False

    @property
    def n_streams(self) -> int:
        """Return the number of streams: a multiple of the ranks."""
        return STREAMS if STREAMS % self.world == 0 else self.world

    @property
    def steps(self) -> int:
        """Return the number of batches, the same on every rank."""
        return -(-self.manifest.rows // self.batch_rows)

    def batches(self, rank: int, counts: Counts, skip: int = 0) -> Iterator[Rows]:
        """Yield the rank's rows of every step; some may be empty.

        The first `skip` steps are read and counted, but not yielded.
        """
        numbers = self._streams_of(rank)
        streams = [_RowStream(self._read_stream(stream, counts)) for stream in numbers]
        window = WINDOW_STEPS if self.similar_lengths else 1
        for first in range(0, self.steps, window):
            sizes = [self._sizes(stream, first, min(window, self.steps - first)) for stream in numbers]
            parts = [stream.next(int(size.sum())) for stream, size in zip(streams, sizes, strict=True)]
            for groups in self._steps_of(parts, sizes, first)[max(0, skip - first) :]:
                yield Rows.concat(groups)

    def _steps_of(self, parts: list[Rows], sizes: list[NDArray[np.int64]], first: int) -> list[list[Rows]]:
        """Return the rows of each step of a window, one part per stream; `sizes` are the rows per stream and step."""
        n_steps = sizes[0].size
        if n_steps == 1:
            return [parts]
        order = np.random.default_rng(derive_seed("window", self.shuffle_seed or 0, first)).permutation(n_steps)
        of_streams = [group_by_length(part, size, order) for part, size in zip(parts, sizes, strict=True)]
        return [[groups[step] for groups in of_streams] for step in range(n_steps)]

    def _sizes(self, stream: int, first: int, n_steps: int) -> NDArray[np.int64]:
        """Return the rows that a stream gives to each of some steps, (n_steps,)."""
        ends = np.minimum(np.arange(first, first + n_steps + 1) * self.batch_rows, self.manifest.rows)
        return np.diff(self._stream_length(stream, ends))

    def _stream_length(self, stream: int, rows: Any) -> Any:
        """Return how many of the first `rows` rows of the epoch are in a stream."""
        return (rows - stream + self.n_streams - 1) // self.n_streams

    def rows_of_rank(self, rank: int) -> int:
        """Return the number of rows that a rank reads."""
        return sum(int(self._stream_length(stream, self.manifest.rows)) for stream in self._streams_of(rank))

    def _streams_of(self, rank: int) -> range:
        return range(rank, self.n_streams, self.world)

    def _files(self) -> Sequence[ShardFile]:
        files = self.manifest.files
        if self.shuffle_seed is None:
            return files
        order = np.random.default_rng(self.shuffle_seed).permutation(len(files))
        return [files[place] for place in order]

    def _read_stream(self, stream: int, counts: Counts) -> Iterator[Rows]:
        """Yield the rows of a stream, the part of one file at a time.

        A file on the border of two streams is read for each of them. Rows are copied, so that the rest of the file does
        not stay in memory. Rows after the stated end of a file are counted and not used.
        """
        lengths = [int(self._stream_length(number, self.manifest.rows)) for number in range(self.n_streams)]
        first = sum(lengths[:stream])
        last, file_first = first + lengths[stream], 0
        for file in self._files():
            start, stop = max(first, file_first) - file_first, min(last, file_first + file.rows) - file_first
            file_first += file.rows
            if start < stop:
                rows = read_file(self.folder, file)
                part = rows.take(self._order(file, len(rows))[start : None if stop == file.rows else stop])
                counts.add(part)
                yield part.between(0, min(stop - start, len(part)))

    def _order(self, file: ShardFile, n_rows: int) -> NDArray[np.intp]:
        if self.shuffle_seed is None:
            return np.arange(n_rows)
        return np.random.default_rng(derive_seed(self.shuffle_seed, file.name)).permutation(n_rows)


def group_by_length(rows: Rows, sizes: NDArray[np.int64], order: NDArray[np.intp]) -> list[Rows]:
    """Return the rows in groups of similar lengths: group i has sizes[i] rows and place order[i] among the lengths.

    Rows are sorted by their number of entries; `order` is a permutation of the groups.
    """
    ends = np.cumsum(sizes[np.argsort(order)])
    groups = np.split(rows.entries.lengths().argsort(kind="stable"), ends[:-1])
    return [rows.take(groups[place]) for place in order]


class _RowStream:
    """Stream of the rows of files, read a few rows at a time."""

    def __init__(self, files: Iterator[Rows]) -> None:
        self._files = files
        self._rows = Rows.concat([])
        self._place = 0

    def next(self, missing: int) -> Rows:
        """Return the next rows; fewer at the end, then none."""
        parts = []
        while missing:
            if self._place == len(self._rows):
                following = next(self._files, None)
                if following is None:
                    break
                self._rows, self._place = following, 0
            part = self._rows.between(self._place, min(self._place + missing, len(self._rows)))
            self._place += len(part)
            missing -= len(part)
            parts.append(part)
        return Rows.concat(parts)
