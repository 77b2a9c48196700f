"""Users by how much is known of them: who is served badly does not show in a mean over all."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["SLICES", "slice_of"]

# The smallest number of known items of each slice.
BOUNDS = (0, 1, 6, 11, 21, 51, 101)


def _name(first: int, following: int | None) -> str:
    if following is None:
        return f"known_items={first}-"
    return f"known_items={first}" if following == first + 1 else f"known_items={first}-{following - 1}"


# `all` comes first; the others part the users.
SLICES = ("all", *[_name(first, next_) for first, next_ in zip(BOUNDS, (*BOUNDS[1:], None), strict=True)])


def slice_of(known_items: NDArray[np.int64]) -> NDArray[np.intp]:
    """The place in SLICES of the slice of each user, (n,), from the number of items that the model is given."""
    return np.searchsorted(BOUNDS, known_items, side="right")
