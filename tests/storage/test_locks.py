"""Locks between real processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recsys_spark.core.errors import WriteConflictError
from recsys_spark.storage.locks import Locks

HOLDER = """
import sys
from pathlib import Path
from recsys_spark.storage.locks import Locks
with Locks(Path(sys.argv[1]), 5).hold("plays"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process_holds(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Yield a process that holds the lock of `plays` until its input ends."""
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_lock_held_by_another_process_fails_after_the_timeout(tmp_path: Path) -> None:
    with another_process_holds(tmp_path):
        clock = time.monotonic()
        with (
            pytest.raises(WriteConflictError, match=r"writing plays .* tables\.lock_timeout_seconds"),
            Locks(tmp_path, 0.5).hold("plays"),
        ):
            pytest.fail("the lock was given twice")
        assert 0.5 <= time.monotonic() - clock < 5
        with Locks(tmp_path, 0).hold("users"):
            pass


def test_waiting_ends_when_the_holder_is_done(tmp_path: Path) -> None:
    with another_process_holds(tmp_path) as process:
        assert process.stdin is not None
        threading.Timer(0.5, process.stdin.close).start()
        clock = time.monotonic()
        with Locks(tmp_path, 30).hold("plays"):
            assert time.monotonic() - clock >= 0.4
        assert process.wait(10) == 0


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    with another_process_holds(tmp_path) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        with Locks(tmp_path, 0).hold("plays"):
            pass


def test_one_object_may_take_a_lock_again_and_frees_it_once(tmp_path: Path) -> None:
    mine, other = Locks(tmp_path, 0), Locks(tmp_path, 0)
    with mine.hold("plays"):
        with mine.hold("plays"), mine.hold("users"):
            pass
        with pytest.raises(WriteConflictError), other.hold("plays"):
            pytest.fail("the inner release freed the outer lock")
    with other.hold("plays"):
        pass


def test_an_error_inside_frees_the_lock(tmp_path: Path) -> None:
    locks = Locks(tmp_path, 0)
    with pytest.raises(ZeroDivisionError), locks.hold("plays"):
        raise ZeroDivisionError
    with Locks(tmp_path, 0).hold("plays"):
        pass


def test_without_a_folder_nothing_is_locked(tmp_path: Path) -> None:
    with Locks(None, 0).hold("plays"), Locks(None, 0).hold("plays"):
        assert not list(tmp_path.iterdir())
