"""A lower bound of the n-th best score of a row, without sorting the row.

The items of a catalogue are dealt out to groups, and of each group only the best score so far is kept. The n-th
largest of those bests belongs to n different items, so the n-th best score of all cannot lie below it; with twice as
many groups as places it lies little above. Keeping maxima costs a fraction of the product that made the scores.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["GroupBests"]

SMALLEST = 32
STEPS = 1 << 14
SMALLEST_STEP = np.finfo(np.float32).tiny


class GroupBests:
    """The best score of each group of items, (n_rows, n_groups): item i belongs to group i modulo n_groups."""

    def __init__(self, n_rows: int, n: int) -> None:
        self.n = n
        self.n_groups = max(SMALLEST, 1 << (2 * n - 1).bit_length())
        self.best = np.full((n_rows, self.n_groups), -np.inf, dtype=np.float32)

    def offer(self, first: int, tile: NDArray[np.float32]) -> None:
        """Takes up the scores (n_rows, width) of the items from `first` on. What is not a number stays."""
        width, start = tile.shape[1], 0
        while start < width:
            group = (first + start) % self.n_groups
            stop = min(width, start + self.n_groups - group)
            bests = self.best[:, group : group + stop - start]
            np.maximum(bests, tile[:, start:stop], out=bests)
            start = stop

    def bound(self) -> NDArray[np.float32]:
        """(n_rows,): no more than the n-th best score of each row so far; minus infinity where fewer are known."""
        low = self.best.min(axis=1)
        with np.errstate(invalid="ignore", over="ignore"):
            spread = self.best.max(axis=1) - low
        bound: NDArray[np.float32]
        if not np.isfinite(spread).all():
            bound = np.sort(self.best, axis=1)[:, -self.n]
            return bound
        # numpy sorts numbers of 16 bits by counting, several times faster than floats on most processors. So the
        # bests of a row are laid on a scale between its extremes, and the bound is one step lower than it reads.
        step = np.maximum(spread / np.float32(STEPS), SMALLEST_STEP)
        places = ((self.best - low[:, None]) / step[:, None]).astype(np.int16)
        places.sort(axis=1, kind="stable")
        bound = low + np.maximum(places[:, -self.n] - 1, 0) * step
        return bound
