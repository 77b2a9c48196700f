"""Processes of this machine, for tests that kill some of them."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["SMALL", "command_lines", "executors", "wait_until"]

# Flags of a job in a process of its own, for a few rows.
SMALL = ["--spark.master", "local[2]", "--spark.driver_memory", "1g", "--spark.shuffle_partitions", "1"]
SMALL += ["--spark.small_data", "true"]


def command_lines() -> dict[int, bytes]:
    """Return the command line of every process."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found[int(entry.name)] = (entry / "cmdline").read_bytes()
    return found


def executors() -> list[int]:
    """Return the processes of executors."""
    return [process for process, command in command_lines().items() if b"CoarseGrainedExecutorBackend" in command]


def wait_until(holds: Callable[[], bool], seconds: float = 240) -> None:
    """Wait until a condition holds; fail after a number of seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
