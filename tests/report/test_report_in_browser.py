"""Tests of the report's page in headless Chromium: no message in the console at three widths."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from recsys_spark.report.page import render
from tests.report.test_page import HOSTILE, hostile_report

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = os.environ.get("CHROME_BIN") or next(filter(None, map(shutil.which, NAMES)), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason=f"no browser: none of {', '.join(NAMES)} on PATH, no CHROME_BIN"),
]


@pytest.mark.parametrize("width", [390, 800, 1400])
def test_the_page_loads_without_a_message_and_shows_its_charts(tmp_path: Path, width: int) -> None:
    file = tmp_path / "report.html"
    file.write_text(render(hostile_report()), encoding="utf-8")
    options = ["--headless", "--disable-gpu", "--dump-dom", f"--window-size={width},900", "--enable-logging=stderr"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    command = [str(BROWSER), *options, file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    assert len(re.findall(r'<svg class="chart"', done.stdout)) == 2
    assert "<img" not in done.stdout and HOSTILE.replace("<", "&lt;").replace(">", "&gt;") in done.stdout
