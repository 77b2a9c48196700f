"""Schedule of an epoch: assignment of shard rows to streams, and of streams to ranks.

The files of an epoch are divided among streams of rows. A step takes rows from all streams, and a rank reads every
W-th stream, W being the number of ranks. So the rows of a step are the same for any number of ranks, every rank
computes the number of steps without communication, and every row counts exactly once per epoch. Streams that end early
give smaller batches; a rank without rows pads.

Networks that pad rows to the longest of a batch need rows of similar lengths in a step. For these the rows of some
steps are sorted together, in every stream alike; the order of the steps stays random.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys_spark.storage.shard_format import Manifest, ShardFile
from recsys_spark.training.shard_loader import Counts, Rows, read_rows

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
        """Return the number of streams: a multiple of the ranks, and at most the rows of a batch."""
        return min(STREAMS if STREAMS % self.world == 0 else self.world, max(1, self.batch_rows))

    @property
    def steps(self) -> int:
        """Return the number of batches until the last stream ends, the same on every rank."""
        return max(
            (-(-self._stream_length(stream) // self._share(stream)) for stream in range(self.n_streams)), default=0
        )

    def batches(self, rank: int, counts: Counts, skip: int = 0) -> Iterator[Rows]:
        """Yield the rank's rows of every step; empty after the end of its streams.

        The first `skip` steps are read and counted, but not yielded.
        """
        streams = [
            _RowStream(self._read_stream(stream, counts), self._share(stream)) for stream in self._streams_of(rank)
        ]
        window = WINDOW_STEPS if self.similar_lengths else 1
        for first in range(0, self.steps, window):
            n_steps = min(window, self.steps - first)
            parts = [stream.next(n_steps) for stream in streams]
            for groups in self._steps_of(parts, first, n_steps)[max(0, skip - first) :]:
                yield Rows.concat(groups)

    def _steps_of(self, parts: list[Rows], first: int, n_steps: int) -> list[list[Rows]]:
        """Return the rows of each step of a window, one part per stream."""
        if n_steps == 1:
            return [parts]
        order = np.random.default_rng(derive_seed("window", self.shuffle_seed or 0, first)).permutation(n_steps)
        of_streams = [group_by_length(part, order) for part in parts]
        return [[groups[step] for groups in of_streams] for step in range(n_steps)]

    def rows_of_rank(self, rank: int) -> int:
        """Return the number of rows that a rank reads."""
        return sum(self._stream_length(stream) for stream in self._streams_of(rank))

    def _streams_of(self, rank: int) -> range:
        return range(rank, self.n_streams, self.world)

    def _share(self, stream: int) -> int:
        return self.batch_rows // self.n_streams + (stream < self.batch_rows % self.n_streams)

    def _files(self, stream: int) -> Sequence[ShardFile]:
        files = self.manifest.files
        if self.shuffle_seed is None:
            return files[stream :: self.n_streams]
        order = np.random.default_rng(self.shuffle_seed).permutation(len(files))
        return [files[place] for place in order[stream :: self.n_streams]]

    def _stream_length(self, stream: int) -> int:
        return sum(file.rows for file in self._files(stream))

    def _read_stream(self, stream: int, counts: Counts) -> Iterator[Rows]:
        files = self._files(stream)
        for file, rows in zip(files, read_rows(self.folder, files, counts), strict=True):
            if self.shuffle_seed is None:
                yield rows
            else:
                order = np.random.default_rng(derive_seed(self.shuffle_seed, file.name)).permutation(len(rows))
                yield rows.take(order)


def group_by_length(rows: Rows, order: NDArray[np.intp]) -> list[Rows]:
    """Return the rows in len(order) groups of similar lengths, in the given order of groups.

    Rows are sorted by their number of entries. The sizes of groups differ by at most one.
    """
    groups = np.array_split(rows.entries.lengths().argsort(kind="stable"), order.size)
    return [rows.take(groups[place]) for place in order]


class _RowStream:
    """Stream of the rows of files, read a few rows at a time."""

    def __init__(self, files: Iterator[Rows], share: int) -> None:
        self._files = files
        self._share = share
        self._rows = Rows.concat([])
        self._place = 0

    def next(self, n_steps: int) -> Rows:
        """Return the rows of the next steps; fewer at the end, then none."""
        parts = []
        missing = self._share * n_steps
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
