"""Tests of the page of a report: untrusted texts stay text, and nothing runs or is fetched."""

import base64
import hashlib
import re
from html.parser import HTMLParser

from recsys_spark.report.charts import Bar, Series, bar_chart, line_chart
from recsys_spark.report.page import Cell, Figure, Headline, Report, Section, Table, render

HOSTILE = "</script><img src=x onerror=alert(1)>"
QUOTED = '" onmouseover="alert(1)'


class Elements(HTMLParser):
    """Elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def hostile_report() -> Report:
    chart = line_chart(HOSTILE, HOSTILE, QUOTED, [Series(HOSTILE, [(0, 1), (1, 2)]), Series(QUOTED, [(0, 2)])])
    bars = bar_chart(QUOTED, HOSTILE, HOSTILE, [Bar(HOSTILE, [1, 2])], (HOSTILE, QUOTED))
    table = Table((HOSTILE,), [(HOSTILE,), (Cell(HOSTILE, 0.5),)])
    figures = [Figure(HOSTILE, QUOTED, chart), Figure("bars", HOSTILE, bars), Figure("table", HOSTILE, table=table)]
    sections = [Section("one", HOSTILE, figures, link=("maps/a.html", HOSTILE)), Section("two", "without figures")]
    return Report(HOSTILE, QUOTED, [Headline(HOSTILE, QUOTED)], [HOSTILE], sections)


def test_untrusted_text_stays_text() -> None:
    elements = Elements(render(hostile_report()))
    tags = {tag for tag, _ in elements.found}
    assert not tags & {"script", "img", "iframe", "object", "link"}
    assert not [name for _, attributes in elements.found for name in attributes if name.startswith("on")]
    assert HOSTILE in "".join(elements.text)


def test_the_page_asks_for_nothing_and_its_policy_allows_its_own_style_alone() -> None:
    page = render(hostile_report())
    assert "http" not in page.replace("http-equiv", "")
    style = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src &#39;sha256-{digest}&#39;" in page and "default-src &#39;none&#39;" in page
    assert not re.search(r"\sstyle=", page)


def test_a_section_without_figures_is_left_out_and_the_page_is_the_same_again() -> None:
    page = render(hostile_report())
    assert "without figures" not in page and page.count("<figure") == 3
    assert page == render(hostile_report())
    assert "Wants your attention" not in render(Report("t", "s"))
