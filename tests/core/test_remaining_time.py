"""Estimates of remaining time, with a clock that the test moves."""

import pytest

from recsys_spark.core.remaining_time import RemainingTime


class Clock:
    """Clock of a test."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("seconds", "done", "left"),
    [
        (4.9, 50, ""),
        (5.0, 50, ", about 5 s left"),
        (10.0, 4, ""),
        (10.0, 5, ", about 3 min left"),
        (40.0, 40, ", about 1 min left"),
        (30.0, 60, ", about 20 s left"),
        (600.0, 5, ", about 3.2 h left"),
        (10.0, 99.9, ", about 1 s left"),
        (10.0, 100, ""),
        (10.0, 0, ""),
    ],
)
def test_the_estimate_follows_the_rate_so_far(seconds: float, done: float, left: str) -> None:
    clock = Clock()
    remaining = RemainingTime(clock=clock)
    clock.seconds += seconds
    assert remaining.text(done, 100) == left


def test_work_before_the_start_does_not_count_for_the_rate() -> None:
    clock = Clock()
    remaining = RemainingTime(done=50, clock=clock)
    clock.seconds += 20
    assert remaining.text(50, 100) == ""
    assert remaining.text(60, 100) == ", about 1 min left"
    assert remaining.text(75, 100) == ", about 20 s left"
