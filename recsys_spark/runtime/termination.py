"""End of a job by SIGTERM, which cancelled schedules and machines that stop send."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Terminated", "raise_on_sigterm", "termination_in"]

# Seconds in which the end of a run can be recorded. A later signal kills: Spark may not answer any more.
GRACE_SECONDS = 30.0


class Terminated(BaseException):
    """SIGTERM received; not an Exception, so that no retry or fallback handles it."""

    exit_code = 128 + signal.SIGTERM

    def __init__(self) -> None:
        super().__init__("ended by SIGTERM: run the same command again, it continues after the last commit")


@contextmanager
def raise_on_sigterm() -> Iterator[None]:
    """Raise Terminated in the block when the process receives SIGTERM.

    Later signals are ignored for GRACE_SECONDS, so that the end of the run can be recorded, and then end the process.
    Only the main thread can receive signals; nothing changes in others.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def termination_in(error: BaseException | None) -> Terminated | None:
    """Return the termination that led to an error, or None.

    A call to the JVM that is interrupted can fail with another error.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, Terminated):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _end(_: int, __: FrameType | None) -> None:
    first = time.monotonic()

    def kill_later(number: int, _: FrameType | None) -> None:
        if time.monotonic() - first > GRACE_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, kill_later)
    raise Terminated
