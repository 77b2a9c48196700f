"""Timing of this package against a reference on the same data.

The two alternate, so that other load on the machine slows both. The median ignores a turn that was disturbed or had to
load libraries. There is no separate warm-up, which would cost as much as a turn of a slow reference.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from pyspark.sql import DataFrame, SparkSession
from threadpoolctl import threadpool_info

__all__ = ["Bench", "Clock", "Comparison", "blas_threads", "compute", "take_turns", "timed", "torch_threads"]

# Runs a piece of work once and returns its seconds, without those of its preparation.
Clock = Callable[[], float]


@dataclass(frozen=True)
class Bench:
    """Settings of a benchmark run; the default sizes are those of MovieLens 1M.

    `scale` multiplies the users and leaves the items. `threads` 0 leaves the number to torch. `peers` is a Python
    interpreter that has the libraries to compare with. Measures write to `folder`.
    """

    spark: SparkSession
    folder: Path
    scale: float
    repeats: int
    seed: int
    threads: int = 0
    peers: str | None = None
    full_users: int = 6040
    n_items: int = 3706

    def n_users(self, times: float = 1) -> int:
        """Return the number of users, at least 24, of data `times` as large."""
        return max(24, round(self.full_users * self.scale * times))


@dataclass(frozen=True)
class Comparison:
    """Measured seconds of this package and of a reference.

    `goal` is `>= x` or `<= x`, which a remark may follow, or empty for no goal.
    """

    measure: str
    size: str
    ours_seconds: float
    reference: str
    reference_seconds: float
    goal: str
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Return the relative speed if the goal is a minimum, else the relative time."""
        times = self.reference_seconds / self.ours_seconds
        return times if self.goal.startswith(">=") else 1 / times

    @property
    def is_met(self) -> bool:
        """Return True if there is a goal and this comparison reached it."""
        if not self.goal:
            return False
        bound = float(self.goal.split()[1])
        return self.ratio >= bound if self.goal.startswith(">=") else self.ratio <= bound

    def as_dict(self) -> dict[str, Any]:
        """Return the fields of the JSON line, numbers rounded to 4 digits."""
        line = {
            "measure": self.measure,
            "size": self.size,
            "ours_seconds": self.ours_seconds,
            "reference": self.reference,
            "reference_seconds": self.reference_seconds,
            "ratio": self.ratio,
            "goal": self.goal,
            **self.more,
        }
        return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in line.items()}


def timed(work: Callable[[], object], times: int = 1) -> Clock:
    """Return a clock of `work`.

    It gives the mean seconds of several `times`, for work that one call does too fast to measure.
    """

    def clock() -> float:
        started = time.perf_counter()
        for _ in range(times):
            work()
        return (time.perf_counter() - started) / times

    return clock


def take_turns(repeats: int, ours: Clock, reference: Clock) -> tuple[float, float]:
    """Alternate the two and return the median seconds of each."""
    turns = [(ours(), reference()) for _ in range(repeats)]
    return median(turn[0] for turn in turns), median(turn[1] for turn in turns)


def compute(rows: DataFrame) -> None:
    """Compute all rows in Spark and discard them."""
    rows.write.format("noop").mode("overwrite").save()


@contextmanager
def torch_threads(threads: int) -> Iterator[int]:
    """Set torch's threads within the context (0: unchanged) and yield their number."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads or before)
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def blas_threads() -> int:
    """Return the number of threads of numpy's matrix products in this process.

    The value comes from the loaded library, because the environment may have changed since it was loaded.
    """
    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)
