"""Who reads what: an epoch's rows dealt to lanes, and lanes to ranks, by arithmetic alone.

A step takes its rows from all lanes, and a rank reads every W-th lane. So the rows of a step are the same whatever
the number of ranks, every rank knows the number of steps without asking the others, and every row counts exactly
once an epoch. Lanes that run out early give smaller batches; a rank left without rows pads.

Networks that pad rows to the longest of a batch want rows of similar lengths in a step. They get them by sorting the
rows of some steps at a time, in every lane alike; the order of the steps stays random.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys_spark.storage.shard_format import Manifest, ShardFile
from recsys_spark.training.shard_loader import Counts, Rows, read_rows

__all__ = ["WINDOW_STEPS", "Epoch", "by_length", "mix"]

LANES = 4
# Steps whose rows are sorted by length together.
WINDOW_STEPS = 32


def mix(*parts: int | str) -> int:
    """A seed for a purpose, in [0, 2**32): equal parts give equal seeds, on any rank and after any restart."""
    return zlib.crc32(repr(parts).encode())


@dataclass(frozen=True)
class Epoch:
    """One pass over the shards of `folder`, in batches of `batch_rows` over all ranks.

    `shuffle_seed` None keeps the stored order; `similar_lengths` brings rows of similar lengths together.
    """

    folder: Path
    manifest: Manifest
    batch_rows: int
    world: int
    shuffle_seed: int | None = None
    similar_lengths: bool = False

    @property
    def n_lanes(self) -> int:
        """A multiple of the ranks, unless a batch has fewer rows than there are ranks."""
        return min(LANES if LANES % self.world == 0 else self.world, max(1, self.batch_rows))

    @property
    def steps(self) -> int:
        """Batches until the last lane is through: the same on every rank."""
        return max((-(-self._lane_rows(lane) // self._share(lane)) for lane in range(self.n_lanes)), default=0)

    def batches(self, rank: int, counts: Counts, skip: int = 0) -> Iterator[Rows]:
        """The rank's part of every step, `steps` of them; empty ones where its lanes have run out.

        The first `skip` steps are read and counted, but not given.
        """
        lanes = [_Lane(self._rows_of(lane, counts), self._share(lane)) for lane in self._lanes_of(rank)]
        window = WINDOW_STEPS if self.similar_lengths else 1
        for first in range(0, self.steps, window):
            n_steps = min(window, self.steps - first)
            parts = [lane.next(n_steps) for lane in lanes]
            for groups in self._steps_of(parts, first, n_steps)[max(0, skip - first) :]:
                yield Rows.concat(groups)

    def _steps_of(self, parts: list[Rows], first: int, n_steps: int) -> list[list[Rows]]:
        """The rows of each lane in a window, dealt to its steps."""
        if n_steps == 1:
            return [parts]
        order = np.random.default_rng(mix("window", self.shuffle_seed or 0, first)).permutation(n_steps)
        of_lanes = [by_length(part, order) for part in parts]
        return [[groups[step] for groups in of_lanes] for step in range(n_steps)]

    def rows_of(self, rank: int) -> int:
        """Rows that a rank reads."""
        return sum(self._lane_rows(lane) for lane in self._lanes_of(rank))

    def _lanes_of(self, rank: int) -> range:
        return range(rank, self.n_lanes, self.world)

    def _share(self, lane: int) -> int:
        return self.batch_rows // self.n_lanes + (lane < self.batch_rows % self.n_lanes)

    def _files(self, lane: int) -> Sequence[ShardFile]:
        files = self.manifest.files
        if self.shuffle_seed is None:
            return files[lane :: self.n_lanes]
        order = np.random.default_rng(self.shuffle_seed).permutation(len(files))
        return [files[place] for place in order[lane :: self.n_lanes]]

    def _lane_rows(self, lane: int) -> int:
        return sum(file.rows for file in self._files(lane))

    def _rows_of(self, lane: int, counts: Counts) -> Iterator[Rows]:
        files = self._files(lane)
        for file, rows in zip(files, read_rows(self.folder, files, counts), strict=True):
            if self.shuffle_seed is None:
                yield rows
            else:
                order = np.random.default_rng(mix(self.shuffle_seed, file.name)).permutation(len(rows))
                yield rows.take(order)


def by_length(rows: Rows, order: NDArray[np.intp]) -> list[Rows]:
    """The rows parted into as many groups of equal size, or sizes that differ by one, as `order` is long: sorted by
    the number of entries, and then given out in that order of groups.
    """
    groups = np.array_split(rows.entries.lengths().argsort(kind="stable"), order.size)
    return [rows.take(groups[place]) for place in order]


class _Lane:
    """Rows of files, given out a few at a time."""

    def __init__(self, files: Iterator[Rows], share: int) -> None:
        self._files = files
        self._share = share
        self._rows = Rows.concat([])
        self._place = 0

    def next(self, n_steps: int) -> Rows:
        """The rows of the next steps; fewer, and then none, at the end."""
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
