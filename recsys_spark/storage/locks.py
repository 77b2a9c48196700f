"""One writer at a time.

On local file systems Delta cannot arbitrate between two JVMs (its local log store is for one process); elsewhere it
does for a commit, and not for a plan of several. So each of both holds an exclusive `flock` on a file of the table's
name: beside the tables where those are local, below files.root, which all machines mount, where they are not. The
kernel drops the lock of a process that is killed: nothing is ever left to clean up.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recsys_spark.core.errors import LostToWriterError

__all__ = ["Locks"]

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1


class Locks:
    """Named locks below a folder; taking one that this object holds already costs nothing."""

    def __init__(self, folder: Path | None, timeout_seconds: float) -> None:
        self._folder = folder
        self._timeout = timeout_seconds
        self._held: set[str] = set()

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Holds the lock of one name.

        Raises LostToWriterError when another process keeps it longer than the timeout.
        """
        if self._folder is None or name in self._held:
            yield
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._acquire(descriptor, name)
            self._held.add(name)
            try:
                yield
            finally:
                self._held.discard(name)
        finally:
            os.close(descriptor)

    def _acquire(self, descriptor: int, name: str) -> None:
        deadline = time.monotonic() + self._timeout
        waiting = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise LostToWriterError(
                        f"another job has been writing {name} for more than {self._timeout:g} s: run again when"
                        " it has finished, or raise tables.lock_timeout_seconds"
                    ) from None
                if not waiting:
                    log.info("waiting for another job that writes %s", name)
                    waiting = True
                time.sleep(POLL_SECONDS)
