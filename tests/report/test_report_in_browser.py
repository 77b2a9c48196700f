"""Tests of the report's page in headless Chromium: no message in the console at three widths."""

import re
from pathlib import Path

import pytest

from recsys_spark.report.page import render
from tests.report.browser import BROWSER_MARKS, page_dom
from tests.report.test_page import HOSTILE, hostile_report

pytestmark = BROWSER_MARKS


@pytest.mark.parametrize("width", [390, 800, 1400])
def test_the_page_loads_without_a_message_and_shows_its_charts(tmp_path: Path, width: int) -> None:
    dom = page_dom(tmp_path, render(hostile_report()), width)
    assert len(re.findall(r'<svg class="chart"', dom)) == 2
    assert "<img" not in dom and HOSTILE.replace("<", "&lt;").replace(">", "&gt;") in dom
