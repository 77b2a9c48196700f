"""Tasks that the progress of a step counts."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any, cast

from pyspark.sql import SparkSession

from recsys_spark.runtime.spark_context import ActiveTasks, active_tasks
from recsys_spark.runtime.task_progress import TaskProgress


def test_finished_tasks_of_the_stages_at_work_are_counted(spark: SparkSession, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def wait(batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            # The first task ends at once, the others when the gate is open.
            while batch.column(0)[0].as_py() and not gate.exists():
                time.sleep(0.05)
            yield batch

    assert active_tasks(spark) == (frozenset(), 0, 0)
    assert TaskProgress(spark)() == ""
    work = Thread(target=lambda: spark.range(0, 5, 1, 5).mapInArrow(wait, "id BIGINT").collect())
    work.start()
    try:
        deadline = time.monotonic() + 60
        while (found := active_tasks(spark)[1:]) != (1, 5) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert found == (1, 5)
        assert TaskProgress(spark)() == "1 of 5 tasks"
    finally:
        gate.touch()
        work.join()


def test_the_remaining_time_of_tasks_starts_again_with_other_stages() -> None:
    now, looks = [0.0], list[ActiveTasks]()

    def look(seconds: float, done: int, total: int, *stages: int) -> str:
        now[0], looks[:] = seconds, [ActiveTasks(frozenset(stages), done, total)]
        return progress()

    progress = TaskProgress(cast(SparkSession, None), lambda spark: looks[0], lambda: now[0])
    assert look(0, 3, 4000, 1) == "3 of 4,000 tasks"
    assert look(4, 1003, 4000, 1) == "1,003 of 4,000 tasks"
    assert look(10, 1003, 4000, 1) == "1,003 of 4,000 tasks, about 30 s left"
    assert look(12, 1, 50, 2) == "1 of 50 tasks"
    assert look(22, 11, 50, 2) == "11 of 50 tasks, about 39 s left"
    assert look(23, 0, 0) == ""
