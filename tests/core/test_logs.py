"""Progress of steps: lines of a log while the work goes on, and a live line at a terminal."""

import io
import logging
import sys
import threading
import time

import pytest
from rich.console import Console
from rich.status import Status

from recsys_spark.core import logs
from recsys_spark.core.logs import progress_detail, shown_logs, step, text_table


@pytest.fixture(autouse=True)
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LOG_INTERVAL", 0.05)
    monkeypatch.setattr(logs, "LIVE_INTERVAL", 0.05)
    monkeypatch.setattr(logs.log, "propagate", True)


def wait_for(event: threading.Event) -> None:
    assert event.wait(10)


def test_a_log_gets_lines_while_the_work_goes_on_and_none_after_it(caplog: pytest.LogCaptureFixture) -> None:
    seen = threading.Event()

    def detail() -> str:
        seen.set()
        return "3 of 8 tasks"

    with caplog.at_level(logging.INFO, "recsys_spark"):
        with progress_detail(detail), step("reading 2 files"):
            wait_for(seen)
            time.sleep(0.05)
        lines = len(caplog.messages)
        assert caplog.messages[0] == "at work: reading 2 files: 0 s, 3 of 8 tasks"
        assert caplog.messages[-1].startswith("reading 2 files: ")
        with pytest.raises(ValueError, match="broken"), step("failing"):
            raise ValueError("broken")
        time.sleep(0.2)
        assert len(caplog.messages) == lines


def test_a_terminal_shows_seconds_and_details(monkeypatch: pytest.MonkeyPatch) -> None:
    console, seen = Console(force_terminal=True, width=100, record=True, file=sys.__stdout__), threading.Event()
    shown: list[str] = []
    monkeypatch.setattr(logs, "_terminal", lambda: console)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(logs.log, "handlers", [logging.NullHandler()])
    update = Status.update

    def recorded(status: Status, text: str) -> None:
        shown.append(text)
        update(status, text)
        seen.set()

    monkeypatch.setattr(Status, "update", recorded)
    with progress_detail(lambda: "1 of 2 tasks"), step("training"):
        wait_for(seen)
    assert shown[0] == "training: 0 s, 1 of 2 tasks"


def test_logs_are_shown_in_the_block_unless_the_program_has_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs.log, "handlers", [])
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with shown_logs("info"), step("a step"):
        pass
    logs.log.info("after the block")
    assert "a step: 0.0 s" in (shown := capsys.readouterr().err) and "after" not in shown
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.NullHandler()])
    with shown_logs("info"), step("a step"):
        assert logs.log.handlers == []
    assert capsys.readouterr().err == ""


def test_names_with_wide_characters_are_wrapped_and_never_cut() -> None:
    table = text_table("item", "most similar")
    name = "Silver Mirror 🔥 · Burning Ribbon 2 · Find the Velvet Violet · 勇气的花火 · Find the Electric River"
    table.add_row("Shadow in the Faded Island", name)
    for width in range(60, 90):
        console = Console(width=width, file=io.StringIO())
        console.print(table)
        assert isinstance(console.file, io.StringIO) and "…" not in console.file.getvalue(), width
