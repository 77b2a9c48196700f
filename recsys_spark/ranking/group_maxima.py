"""A lower bound of the n-th best score of each row, without sorting rows.

Items are assigned to groups, and only the best score of each group is kept. The n-th largest of these maxima belongs
to n different items, so that the n-th best score of all is not below it; with twice as many groups as places the bound
is close. Maxima cost a fraction of the matrix product.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["lower_bound"]

MIN_GROUPS = 32
STEPS = 1 << 14
SMALLEST_STEP = np.finfo(np.float32).tiny


def lower_bound(scores: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """Return a lower bound, (n_rows,), of the n-th best score of each row.

    `scores` are (n_rows, width). Minus infinity for rows with fewer than n finite scores; undefined for rows with NaN.
    """
    maxima = _group_maxima(scores, max(MIN_GROUPS, 1 << (2 * n - 1).bit_length()))
    low = maxima.min(axis=1)
    with np.errstate(invalid="ignore", over="ignore"):
        spread = maxima.max(axis=1) - low
    bound: NDArray[np.float32]
    if not np.isfinite(spread).all():
        bound = np.sort(maxima, axis=1)[:, -n]
        return bound
    # numpy sorts 16-bit numbers by counting, several times faster than floats on most processors. So the maxima of a
    # row are put on a scale between its extremes, and the bound is one step below the value on the scale.
    step = np.maximum(spread / np.float32(STEPS), SMALLEST_STEP)
    places = ((maxima - low[:, None]) / step[:, None]).astype(np.int16)
    places.sort(axis=1, kind="stable")
    bound = low + np.maximum(places[:, -n] - 1, 0) * step
    return bound


def _group_maxima(scores: NDArray[np.float32], n_groups: int) -> NDArray[np.float32]:
    """Return the best score of each group, (n_rows, n_groups): column i belongs to group i modulo n_groups."""
    maxima = np.full((len(scores), n_groups), -np.inf, dtype=np.float32)
    for start in range(0, scores.shape[1], n_groups):
        part = scores[:, start : start + n_groups]
        beside = maxima[:, : part.shape[1]]
        np.maximum(beside, part, out=beside)
    return maxima
