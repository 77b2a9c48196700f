"""Locks of tables between processes.

On local file systems Delta cannot detect conflicts between two JVMs, because its local log store is for one process.
On other storage it detects conflicts of single commits, not of several in a row. Every writer therefore holds an
exclusive `flock` on a file with the name of the table. The files are beside local tables, and otherwise below
files.root, which all machines mount. The kernel releases the lock of a killed process, so that no clean-up is needed.

Some file systems, such as mounted object stores, have no locks. Nothing is locked there, and the commit of Delta alone
decides between two writers.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from recsys_spark.core.atomic_files import UNSUPPORTED
from recsys_spark.core.errors import WriteConflictError

__all__ = ["Locks", "supports_locks"]

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1


class Locks:
    """Named, reentrant locks below a folder; without a folder nothing is locked."""

    def __init__(self, folder: Path | None, timeout_seconds: float) -> None:
        self._folder = folder
        self._timeout = timeout_seconds
        self._held: set[str] = set()

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Hold the lock of one name.

        Raises WriteConflictError when another process holds it longer than the timeout.
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
            except OSError as error:
                if error.errno in UNSUPPORTED:
                    # The preflight check has logged it.
                    return
                if not isinstance(error, BlockingIOError):
                    raise
                if time.monotonic() >= deadline:
                    raise WriteConflictError(
                        f"another job has been writing {name} for more than {self._timeout:g} s: run again when"
                        " it has finished, or raise tables.lock_timeout_seconds"
                    ) from None
                if not waiting:
                    log.info("waiting for another job that writes %s", name)
                    waiting = True
                time.sleep(POLL_SECONDS)


def supports_locks(folder: Path) -> bool:
    """Return True if files in a folder can be locked."""
    probe = folder / f".lock-probe-{uuid4().hex}"
    descriptor = os.open(probe, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return False
    finally:
        os.close(descriptor)
        probe.unlink()
    return True
