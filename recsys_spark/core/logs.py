"""What a person sees while a job runs: plain lines on stderr, or a live line at a terminal."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from rich.console import Console
from rich.logging import RichHandler

__all__ = ["configure_logs", "step", "table_console"]

log = logging.getLogger("recsys_spark")


@cache
def _terminal() -> Console:
    """The one console on stderr: a second one would write over the live line of the first."""
    return Console(stderr=True)


def table_console(width: int) -> Console:
    """For tables on stdout: as wide as a terminal is. A file or a pipe has no width of its own, and names should not
    be cut there, so it gets `width` columns.
    """
    return Console(width=None if sys.stdout.isatty() else width)


def configure_logs(level: str) -> None:
    """Sends this package's log to stderr; other packages' loggers are left alone."""
    log.setLevel(level.upper())
    log.handlers.clear()
    log.propagate = False
    # PySpark logs each SQL error as a screenful of JSON; what a person needs of it is in our own message.
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    if sys.stderr.isatty():
        handler: logging.Handler = RichHandler(console=_terminal(), show_path=False, log_time_format="%H:%M:%S")
    else:
        handler = logging.StreamHandler()
        formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        handler.setFormatter(formatter)
    log.addHandler(handler)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Shows a piece of work: a spinner at a terminal, a line with its seconds when it is done."""
    clock = time.monotonic()
    if sys.stderr.isatty() and log.handlers:
        with _terminal().status(text):
            yield
    else:
        yield
    log.info("%s: %.1f s", text, time.monotonic() - clock)
