"""Log output of jobs: plain lines on stderr, or a live line at a terminal."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from rich.console import Console
from rich.logging import RichHandler

__all__ = ["configure_logs", "plain_console", "step", "table_console"]

log = logging.getLogger("recsys_spark")


@cache
def _terminal() -> Console:
    """Return the only console on stderr.

    A second console would overwrite the live line of the first.
    """
    return Console(stderr=True)


def table_console(width: int) -> Console:
    """Return a console for tables on stdout, as wide as the terminal.

    Files and pipes have no width of their own. They get `width` columns, so that names are not cut.
    """
    return Console(width=None if sys.stdout.isatty() else width)


def plain_console() -> Console:
    """Return a console on stdout for texts from the data: brackets in them are not markup, and no line is cut."""
    return Console(soft_wrap=True, markup=False, highlight=False)


def configure_logs(level: str) -> None:
    """Send the log of this package to stderr and leave other loggers unchanged."""
    log.setLevel(level.upper())
    log.handlers.clear()
    log.propagate = False
    # PySpark logs each SQL error as JSON of many lines; the message of the job already has its content.
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
    """Show the progress of a piece of work.

    A terminal shows a spinner. The log gets a line with the elapsed seconds at the end.
    """
    clock = time.monotonic()
    if sys.stderr.isatty() and log.handlers:
        with _terminal().status(text):
            yield
    else:
        yield
    log.info("%s: %.1f s", text, time.monotonic() - clock)
