"""Estimated remaining time of work with a known total."""

import time
from collections.abc import Callable

__all__ = ["RemainingTime"]

# An estimate needs this time and this share of the work: the first tasks also load code and data.
MIN_SECONDS = 5.0
MIN_SHARE = 0.05


class RemainingTime:
    """Estimate of the remaining time of work from its rate so far.

    `done` is the amount done before, which does not count for the rate.
    """

    def __init__(self, done: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._start, self._first = clock, clock(), done

    def text(self, done: float, total: float) -> str:
        """Return such as `, about 40 s left`; empty for finished work or as long as the rate is uncertain."""
        elapsed, progress = self._clock() - self._start, done - self._first
        if elapsed < MIN_SECONDS or progress <= 0 or done < MIN_SHARE * total or done >= total:
            return ""
        return f", about {_rounded(elapsed / progress * (total - done))} left"


def _rounded(seconds: float) -> str:
    """Return a duration in a unit that shows no more digits than an estimate has."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
