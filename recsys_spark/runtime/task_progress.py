"""Progress of the Spark tasks at work, with their estimated remaining time."""

import time
from collections.abc import Callable

from pyspark.sql import SparkSession

from recsys_spark.core.remaining_time import RemainingTime
from recsys_spark.runtime.spark_context import ActiveTasks, active_tasks

__all__ = ["TaskProgress"]


class TaskProgress:
    """Function that describes the tasks at work; the estimate starts again with other stages."""

    def __init__(
        self,
        spark: SparkSession,
        look: Callable[[SparkSession], ActiveTasks] = active_tasks,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spark, self._look, self._clock = spark, look, clock
        self._stages: frozenset[int] = frozenset()
        self._remaining = RemainingTime(clock=clock)

    def __call__(self) -> str:
        """Return such as `1,203 of 4,000 tasks, about 40 s left`; empty without tasks at work."""
        tasks = self._look(self._spark)
        if tasks.stages != self._stages:
            self._stages, self._remaining = tasks.stages, RemainingTime(tasks.done, self._clock)
        if not tasks.stages:
            return ""
        return f"{tasks.done:,} of {tasks.total:,} tasks{self._remaining.text(tasks.done, tasks.total)}"
