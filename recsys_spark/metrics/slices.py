"""Slices of users by number of known items.

Means over all users hide slices with low metrics.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["PREDICTION_BOUNDS", "SLICES", "slice_numbers", "slices_by_bound"]

# The smallest number of known items of each slice: in evaluations of models, and of predicted labels.
EVALUATION_BOUNDS = (0, 1, 6, 11, 21, 51, 101)
PREDICTION_BOUNDS = (1, 2, 6, 11, 21, 51)


def slices_by_bound(bounds: Sequence[int]) -> dict[int, str]:
    """Return the slice name of each of the ascending `bounds`, such as known_items=2-5."""
    names = {}
    for first, following in zip(bounds, (*bounds[1:], None), strict=True):
        last = "-" if following is None else "" if following == first + 1 else f"-{following - 1}"
        names[first] = f"known_items={first}{last}"
    return names


# `all` comes first; each user is in one of the others.
SLICES = ("all", *slices_by_bound(EVALUATION_BOUNDS).values())


def slice_numbers(known_items: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the place in SLICES of each user, (n,), by number of known items, (n,)."""
    return np.searchsorted(EVALUATION_BOUNDS, known_items, side="right")
