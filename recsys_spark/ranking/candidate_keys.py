"""Sort keys of candidates: score and item in one integer.

Ascending keys are descending scores and, for equal scores, ascending items. Sorting plain integers is several times
faster than a stable sort by two columns.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EMPTY_KEY", "pack_keys", "unpack_items", "unpack_scores"]

WITHOUT_SIGN = np.int32(0x7FFFFFFF)


def pack_keys(score: NDArray[np.float32], item_idx: NDArray[Any]) -> NDArray[np.int64]:
    """Return keys of scores and items of one shape; no score may be NaN, and -0 equals 0."""
    bits = (-score + np.float32(0)).view(np.int32)
    keys: NDArray[np.int64] = _flip_negative(bits).astype(np.int64) << 32 | item_idx.astype(np.int64)
    return keys


def unpack_scores(keys: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the scores of keys."""
    scores: NDArray[np.float32] = -_flip_negative((keys >> 32).astype(np.int32)).view(np.float32) + np.float32(0)
    return scores


def unpack_items(keys: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return the items of keys."""
    return (keys & 0xFFFFFFFF).astype(np.int32)


def _flip_negative(bits: NDArray[np.int32]) -> NDArray[np.int32]:
    """Map bits of floats to integers of the same order, and back.

    All bits but the sign are inverted for negative numbers.
    """
    flipped: NDArray[np.int32] = bits ^ ((bits >> 31) & WITHOUT_SIGN)
    return flipped


# Key of an empty place: after every finite score, and no better than minus infinity.
EMPTY_KEY = int(pack_keys(np.full(1, -np.inf, np.float32), np.zeros(1))[0])
