"""Processes of this machine, as tests that kill some of them see them."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["command_lines", "executors", "wait_until"]


def command_lines() -> dict[int, bytes]:
    """Of every process that there is."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found[int(entry.name)] = (entry / "cmdline").read_bytes()
    return found


def executors() -> list[int]:
    """The JVMs of executors."""
    return [process for process, command in command_lines().items() if b"CoarseGrainedExecutorBackend" in command]


def wait_until(holds: Callable[[], bool], seconds: float = 240) -> None:
    """Fails where it takes longer."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
