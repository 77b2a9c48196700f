"""A lower bound of the n-th best score of each row, without sorting rows.

Items are assigned to groups, and only the best score of each group is kept. The n-th largest of these maxima belongs
to n different items, so that the n-th best score of all is not below it; with twice as many groups as places the bound
is close. Updating maxima costs a fraction of the matrix product.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["GroupMaxima"]

MIN_GROUPS = 32
STEPS = 1 << 14
SMALLEST_STEP = np.finfo(np.float32).tiny


class GroupMaxima:
    """The best score of each group of items, (n_rows, n_groups): item i belongs to group i modulo n_groups."""

    def __init__(self, n_rows: int, n: int) -> None:
        self.n = n
        self.n_groups = max(MIN_GROUPS, 1 << (2 * n - 1).bit_length())
        self.maxima = np.full((n_rows, self.n_groups), -np.inf, dtype=np.float32)

    def update(self, first: int, tile: NDArray[np.float32]) -> None:
        """Update with the scores (n_rows, width) of the items from `first` on; NaN persists."""
        width, start = tile.shape[1], 0
        while start < width:
            group = (first + start) % self.n_groups
            stop = min(width, start + self.n_groups - group)
            maxima = self.maxima[:, group : group + stop - start]
            np.maximum(maxima, tile[:, start:stop], out=maxima)
            start = stop

    def keep(self, rows: NDArray[np.intp]) -> None:
        """Keep some of the rows, in this order."""
        self.maxima = self.maxima[rows]

    def lower_bound(self) -> NDArray[np.float32]:
        """Return a lower bound, (n_rows,), of the n-th best score of each row so far.

        Minus infinity for rows with fewer than n finite scores.
        """
        low = self.maxima.min(axis=1)
        with np.errstate(invalid="ignore", over="ignore"):
            spread = self.maxima.max(axis=1) - low
        bound: NDArray[np.float32]
        if not np.isfinite(spread).all():
            bound = np.sort(self.maxima, axis=1)[:, -self.n]
            return bound
        # numpy sorts 16-bit numbers by counting, several times faster than floats on most processors. So the maxima
        # of a row are put on a scale between its extremes, and the bound is one step below the value on the scale.
        step = np.maximum(spread / np.float32(STEPS), SMALLEST_STEP)
        places = ((self.maxima - low[:, None]) / step[:, None]).astype(np.int16)
        places.sort(axis=1, kind="stable")
        bound = low + np.maximum(places[:, -self.n] - 1, 0) * step
        return bound
