"""Log output of jobs: plain lines on stderr, or a live line at a terminal."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from rich.console import Console
from rich.logging import RichHandler
from rich.status import Status
from rich.table import Column, Table

__all__ = ["configure_logs", "plain_console", "progress_detail", "shown_logs", "step", "table_console", "text_table"]

log = logging.getLogger("recsys_spark")
# Seconds between two updates of the live line, and between two lines of a log.
LIVE_INTERVAL = 0.5
LOG_INTERVAL = 60.0
# Seconds between two looks at the progress in between: an estimate of the remaining time needs the first one early.
LOOK_INTERVAL = 5.0
# Functions that return how far the work of this process is; the last one counts.
_details: list[Callable[[], str]] = []


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


def text_table(*columns: str, title: str | None = None, show_lines: bool = False) -> Table:
    """Return a table for names from the data, which are wrapped and never cut.

    By default rich cuts words in lines with wide characters.
    """
    return Table(*(Column(name, overflow="fold") for name in columns), title=title, show_lines=show_lines)


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
def shown_logs(level: str) -> Iterator[None]:
    """Show the log in the block, unless the program has logs of its own."""
    if log.handlers or logging.getLogger().handlers:
        yield
        return
    before, propagates = log.level, log.propagate
    configure_logs(level)
    try:
        yield
    finally:
        log.handlers.clear()
        log.propagate = propagates
        log.setLevel(before)


@contextmanager
def progress_detail(detail: Callable[[], str]) -> Iterator[None]:
    """Add the text of a function to the progress of steps in the block.

    It is called in another thread every few seconds, and returns such as `3 of 8 tasks`. An empty text adds nothing.
    """
    _details.append(detail)
    try:
        yield
    finally:
        _details.remove(detail)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Show the progress of a piece of work.

    A terminal shows a live line with the elapsed seconds. The log gets a line each minute, and one at the end.
    """
    clock, ended = time.monotonic(), threading.Event()
    if sys.stderr.isatty() and log.handlers:
        with _terminal().status(text) as status:
            watcher = _start_watcher(text, clock, ended, status)
            try:
                yield
            finally:
                ended.set()
                watcher.join()
    else:
        _start_watcher(text, clock, ended, None)
        try:
            yield
        finally:
            ended.set()
    log.info("%s: %.1f s", text, time.monotonic() - clock)


def _start_watcher(text: str, clock: float, ended: threading.Event, status: Status | None) -> threading.Thread:
    thread = threading.Thread(target=_watch, args=(text, clock, ended, status), daemon=True)
    thread.start()
    return thread


def _watch(text: str, clock: float, ended: threading.Event, status: Status | None) -> None:
    """Report elapsed seconds and details until the work ends."""
    logged = clock
    while not ended.wait(min(LOOK_INTERVAL, LOG_INTERVAL) if status is None else LIVE_INTERVAL):
        detail, now = _details[-1]() if _details else "", time.monotonic()
        line = f"{text}: {now - clock:.0f} s{f', {detail}' if detail else ''}"
        if status is not None:
            status.update(line)
        elif now - logged >= LOG_INTERVAL and not ended.is_set():
            logged = now
            log.info("at work: %s", line)
