"""Tasks that the progress of a step counts."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

from pyspark.sql import SparkSession

from recsys_spark.runtime.session import tasks_done


def test_finished_tasks_of_the_stages_at_work_are_counted(spark: SparkSession, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def wait(batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            # The first task ends at once, the others when the gate is open.
            while batch.column(0)[0].as_py() and not gate.exists():
                time.sleep(0.05)
            yield batch

    assert tasks_done(spark) == ""
    work = Thread(target=lambda: spark.range(0, 5, 1, 5).mapInArrow(wait, "id BIGINT").collect())
    work.start()
    try:
        deadline = time.monotonic() + 60
        while (found := tasks_done(spark)) != "1 of 5 tasks" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert found == "1 of 5 tasks"
    finally:
        gate.touch()
        work.join()
