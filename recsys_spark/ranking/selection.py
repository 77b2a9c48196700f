"""Selecting and ordering scores, in ways that modern processors do several at a time."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["descending", "places_of"]


def descending(score: NDArray[np.float32]) -> NDArray[np.intp]:
    """Places of each row by descending score, equal ones by ascending place, (rows, width); no score is NaN."""
    # One sort of packed numbers is several times faster than a stable argsort. Zero has one sign here.
    bits = (-score + np.float32(0)).view(np.int32)
    ascending = bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
    packed = ascending.astype(np.int64) << 32 | np.arange(score.shape[1])
    packed.sort(axis=1)
    return packed & 0xFFFFFFFF


def places_of(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The flat places where a contiguous mask is set, ascending: as np.flatnonzero, eight at a time where few are."""
    flat = mask.ravel()
    whole = flat.size - flat.size % 8
    words = np.flatnonzero(flat[:whole].view(np.uint64))
    inside = np.flatnonzero(flat[:whole].reshape(-1, 8).take(words, axis=0))
    places = words[inside >> 3] * 8 + (inside & 7)
    return np.concatenate((places, whole + np.flatnonzero(flat[whole:])))
