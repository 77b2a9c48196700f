"""An item and its score as one integer, by which candidates are sorted.

Ascending keys are descending scores, and of equal scores ascending items; sorting plain integers is several times
faster than a stable sort by two columns.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NOTHING", "items_of", "keys_of", "scores_of"]

WITHOUT_SIGN = np.int32(0x7FFFFFFF)


def keys_of(score: NDArray[np.float32], item_idx: NDArray[Any]) -> NDArray[np.int64]:
    """Keys of scores, none of them NaN, and items, both of one shape. Zero has one sign."""
    bits = (-score + np.float32(0)).view(np.int32)
    keys: NDArray[np.int64] = _turned(bits).astype(np.int64) << 32 | item_idx.astype(np.int64)
    return keys


def scores_of(keys: NDArray[np.int64]) -> NDArray[np.float32]:
    """The scores in keys."""
    scores: NDArray[np.float32] = -_turned((keys >> 32).astype(np.int32)).view(np.float32) + np.float32(0)
    return scores


def items_of(keys: NDArray[np.int64]) -> NDArray[np.int32]:
    """The items in keys."""
    return (keys & 0xFFFFFFFF).astype(np.int32)


def _turned(bits: NDArray[np.int32]) -> NDArray[np.int32]:
    """From the bits of floats to integers of the same order, and back: of negative ones the other bits turn round."""
    turned: NDArray[np.int32] = bits ^ ((bits >> 31) & WITHOUT_SIGN)
    return turned


# An empty place: behind every score, and never better than minus infinity.
NOTHING = int(keys_of(np.full(1, -np.inf, np.float32), np.zeros(1))[0])
