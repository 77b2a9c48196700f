"""Random streams for each purpose and block of users, determined by the plan.

A stream for each purpose keeps the parts independent: dirt, for example, changes no clean row.
"""

from zlib import crc32

import numpy as np
import numpy.typing as npt

__all__ = ["FloatArray", "IntArray", "long_tailed_counts", "ordinals", "stream"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def stream(seed: int, purpose: str, block: int = 0) -> np.random.Generator:
    """Return the generator of one purpose (such as "plays") in one block of users."""
    return np.random.default_rng([seed, crc32(purpose.encode()), block])


def long_tailed_counts(rng: np.random.Generator, size: int, total: int, spread: float, cap: int) -> IntArray:
    """Draw `size` nearly log-normal counts within 1..cap that sum to `total` exactly.

    `spread` is the standard deviation of their logarithm. Needs size <= total <= size * cap.
    """
    weights = rng.lognormal(0.0, spread, size)
    counts: IntArray = np.clip(np.floor(weights * (total / weights.sum())), 1, cap).astype(np.int64)
    while (gap := total - int(counts.sum())) != 0:
        open_ = np.flatnonzero(counts < cap if gap > 0 else counts > 1)
        counts[rng.permutation(open_)[: abs(gap)]] += 1 if gap > 0 else -1
    return counts


def ordinals(sorted_keys: IntArray) -> IntArray:
    """Return the position of each element in its run of equal keys: [7, 7, 9] -> [0, 1, 0]."""
    if len(sorted_keys) == 0:
        return np.empty(0, np.int64)
    starts = np.flatnonzero(np.r_[True, sorted_keys[1:] != sorted_keys[:-1]])
    lengths = np.diff(np.r_[starts, len(sorted_keys)])
    return np.arange(len(sorted_keys), dtype=np.int64) - np.repeat(starts, lengths)
