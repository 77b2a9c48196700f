"""Confidence intervals by drawing users anew, in one pass and without bringing users together.

Drawing n of n users with replacement gives each a number of copies that is nearly Poisson(1), and so independent of
how many there are (Chamandy et al. 2012). Those numbers are a hash of user, draw and seed: the same wherever a user
is scored, and the same for all models, whose differences are then judged on the same draws.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["interval", "user_weights"]

LEVEL = 0.95
# More copies than these have a chance far below 1 / CHANCES.
MOST_COPIES = 17
# A hash has room for so many draws, each of so many equally likely values.
PER_HASH, CHANCES = 4, 1 << 16


def user_weights(user_idx: NDArray[np.int32], draws: int, seed: int) -> NDArray[np.float64]:
    """(n_users, 1 + draws): ones, for the figure itself, and the copies of each user in every draw."""
    weights = np.ones((user_idx.size, 1 + draws))
    if draws:
        state = _mix(np.uint64(seed) ^ _mix(user_idx.astype(np.uint64)))
        hashes = _mix(state[:, None] + np.arange(1, -(-draws // PER_HASH) + 1, dtype=np.uint64))
        chances = hashes.astype("<u8", copy=False).view("<u2")
        weights[:, 1:] = _copies()[chances[:, :draws]]
    return weights


@lru_cache(maxsize=1)
def _copies() -> NDArray[np.float64]:
    """The number of copies that each of CHANCES values stands for: the quantiles of Poisson(1)."""
    chances = (np.arange(CHANCES) + 0.5) / CHANCES
    below = np.cumsum([math.exp(-1) / math.factorial(n) for n in range(MOST_COPIES)])
    return np.searchsorted(below, chances, side="right").astype(np.float64)


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """The bounds of the middle 95 % of what the draws gave (percentile method); NaN twice without draws."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele et al. 2014): every bit of the result depends on every bit of x."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))
