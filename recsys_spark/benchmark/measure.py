"""What a measure is: ours and a reference take turns on the same data, and a line says how they compare.

In turns, because another load on the machine then slows both; the median, because it passes over the turn that had to
load libraries or was disturbed. There is no warm-up besides, which would cost as much as the turns of a slow reference.
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

__all__ = ["Bench", "Clock", "Line", "blas_threads", "compute", "take_turns", "timed", "torch_threads"]

# Does a piece of work once and gives its seconds, without what was to be prepared for it.
Clock = Callable[[], float]


@dataclass(frozen=True)
class Bench:
    """What measures are taken with: users scale, items stay; the defaults have MovieLens-1M's shape.

    `threads` 0 leaves the number to torch; `peers` is another Python, for programs that need other libraries. A measure
    may use `folder` as it likes.
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
        """Users of data `times` as large; enough for a few steps at the smallest scale."""
        return max(24, round(self.full_users * self.scale * times))


@dataclass(frozen=True)
class Line:
    """One measured comparison. `goal` is `>= x` or `<= x`, with a remark behind it if there is one; empty: none."""

    measure: str
    size: str
    ours_seconds: float
    reference: str
    reference_seconds: float
    goal: str
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """How many times as fast as the reference where the goal is a least, how many times its time otherwise."""
        times = self.reference_seconds / self.ours_seconds
        return times if self.goal.startswith(">=") else 1 / times

    @property
    def is_met(self) -> bool:
        """Whether there is a goal and it was reached, this time and on this machine."""
        if not self.goal:
            return False
        bound = float(self.goal.split()[1])
        return self.ratio >= bound if self.goal.startswith(">=") else self.ratio <= bound

    def as_dict(self) -> dict[str, Any]:
        """For the JSON line; figures are rounded to what can be told apart."""
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
    """A clock of all that `work` does; what is over in a moment is done several `times` a turn, and the mean given."""

    def clock() -> float:
        started = time.perf_counter()
        for _ in range(times):
            work()
        return (time.perf_counter() - started) / times

    return clock


def take_turns(repeats: int, ours: Clock, reference: Clock) -> tuple[float, float]:
    """Median seconds of ours and of the reference."""
    turns = [(ours(), reference()) for _ in range(repeats)]
    return median(turn[0] for turn in turns), median(turn[1] for turn in turns)


def compute(rows: DataFrame) -> None:
    """Has Spark make all rows, and throws them away."""
    rows.write.format("noop").mode("overwrite").save()


@contextmanager
def torch_threads(threads: int) -> Iterator[int]:
    """Within it torch works with so many threads (0: as it is); gives their number."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads or before)
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def blas_threads() -> int:
    """As many as numpy's products in this process take: the environment may have changed since it was loaded."""
    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)
