"""Headless Chromium for tests of pages; the tests are skipped where there is none."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

__all__ = ["BROWSER_MARKS", "page_dom"]

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = os.environ.get("CHROME_BIN") or next(filter(None, map(shutil.which, NAMES)), None)
BROWSER_MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason=f"no browser: none of {', '.join(NAMES)} on PATH, no CHROME_BIN"),
]


def page_dom(
    folder: Path, text: str, width: int, options: Sequence[str] = (), address: str = "", ignored: str = "nothing"
) -> str:
    """Return the final DOM of a page.

    The browser's console must be empty, except for lines with the text `ignored`.
    """
    file = folder / "page.html"
    file.write_text(text, encoding="utf-8")
    command = [str(BROWSER), "--headless", "--disable-gpu", "--dump-dom", f"--window-size={width},800", *options]
    command += ["--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}"]
    # Chromium's sandbox does not start for root, the user of most containers.
    command += ["--no-sandbox"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*command, f"{file.as_uri()}{address}"], capture_output=True, text=True, check=True, timeout=120
    )
    messages = [line for line in done.stderr.splitlines() if "CONSOLE" in line and ignored not in line]
    assert messages == []
    return done.stdout
