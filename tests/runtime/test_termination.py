"""SIGTERM: an exit code, a JSON line, and a row in job_runs."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark.runtime.termination import Terminated, raise_on_sigterm, termination_in
from tests.processes import SMALL

PROGRAM = """
from recsys_spark.runtime.job import Job

def work(run):
    print("at work", flush=True)
    WORK

Job("endless", "", work).entry_point()
"""


# A query, and a call whose answer arrives after the signal and must not be taken for that of the next call.
QUERY = 'run.spark.range(10**13).selectExpr("sum(hash(id))").collect()'
CALL = "run.spark._jvm.java.lang.Thread.sleep(5_000)"


@pytest.mark.slow
@pytest.mark.parametrize("work", [QUERY, CALL])
def test_a_cancelled_job_is_recorded_and_exits_with_143(spark: SparkSession, tmp_path: Path, work: str) -> None:
    command = [
        sys.executable,
        "-c",
        PROGRAM.replace("WORK", work),
        "--tables.root",
        str(tmp_path / "tables"),
        *SMALL,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "at work\n"
        # The query is running when the signal arrives.
        threading.Event().wait(3)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 143, errors[-2_000:]
    line = json.loads(output.splitlines()[-1])
    assert (line["status"], line["exit_code"]) == ("failed", 143) and "SIGTERM" in line["error"]
    assert "Traceback" not in errors
    (row,) = spark.read.format("delta").load(str(tmp_path / "tables" / "job_runs")).collect()
    assert (row["job"], row["status"], row["exit_code"]) == ("endless", "failed", 143)
    assert row["error"] == line["error"]


def test_the_handler_is_replaced_within_the_block_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated) as caught, raise_on_sigterm():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            # The second signal is ignored while the first one is handled.
    assert caught.value.exit_code == 143 and not isinstance(caught.value, Exception)
    assert signal.getsignal(signal.SIGTERM) is before
    failures: list[BaseException] = []

    def in_thread() -> None:
        try:
            with raise_on_sigterm():
                assert signal.getsignal(signal.SIGTERM) is before
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    assert failures == []


def test_a_run_that_cannot_end_is_killed_by_a_later_signal() -> None:
    program = """
import os, signal
from recsys_spark.runtime import termination
termination.GRACE_SECONDS = LIMIT
with termination.raise_on_sigterm():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
"""
    for grace, code in (("-1", -signal.SIGTERM), ("30", 1)):
        done = subprocess.run([sys.executable, "-c", program.replace("LIMIT", grace)], check=False, capture_output=True)
        assert done.returncode == code, done.stderr.decode()


def test_a_termination_is_found_behind_the_errors_that_it_caused() -> None:
    try:
        try:
            raise Terminated
        finally:
            raise ConnectionError("the JVM is gone")
    except ConnectionError as error:
        assert isinstance(termination_in(error), Terminated)
    assert termination_in(ValueError("other")) is None
