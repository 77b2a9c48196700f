"""Confidence intervals by the Poisson bootstrap over users, in one distributed pass.

Drawing n of n users with replacement gives each user a number of copies that is nearly Poisson(1), and so independent
of n (Chamandy et al. 2012). These numbers are derived from a hash of user, draw and seed: equal on every executor, and
equal for all models, so that models are compared on the same draws.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["percentile_interval", "user_weights"]

LEVEL = 0.95
# The probability of more copies is far below 1 / CHANCES.
MAX_COPIES = 17
# A hash holds PER_HASH draws, each one of CHANCES equally likely values.
PER_HASH, CHANCES = 4, 1 << 16


def user_weights(user_idx: NDArray[np.int32], draws: int, seed: int) -> NDArray[np.float64]:
    """Return weights of users, (n_users, 1 + draws): ones, then the copies of each user in every draw."""
    weights = np.ones((user_idx.size, 1 + draws))
    if draws:
        state = _mix(np.uint64(seed) ^ _mix(user_idx.astype(np.uint64)))
        hashes = _mix(state[:, None] + np.arange(1, -(-draws // PER_HASH) + 1, dtype=np.uint64))
        chances = hashes.astype("<u8", copy=False).view("<u2")
        weights[:, 1:] = _copies()[chances[:, :draws]]
    return weights


@lru_cache(maxsize=1)
def _copies() -> NDArray[np.float64]:
    """Return the number of copies for each of CHANCES values: the quantiles of Poisson(1)."""
    chances = (np.arange(CHANCES) + 0.5) / CHANCES
    below = np.cumsum([math.exp(-1) / math.factorial(n) for n in range(MAX_COPIES)])
    return np.searchsorted(below, chances, side="right").astype(np.float64)


def percentile_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the bounds of the middle 95 % of values of draws (percentile method); NaN twice without draws."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Apply the finaliser of SplitMix64 (Steele et al. 2014).

    Every bit of the result depends on every bit of x.
    """
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))
