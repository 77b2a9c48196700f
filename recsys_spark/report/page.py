"""HTML page of a report, in one self-contained file.

Jinja2 escapes every value. A content security policy allows only the page's own style, by hash, and forbids scripts
and requests: the page has neither, and names of items are untrusted text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from jinja2 import BaseLoader, Environment, StrictUndefined, select_autoescape
from jinja2 import Template as JinjaTemplate

from recsys_spark.report.charts import Chart, short_number
from recsys_spark.report.page_resources import page_style, read_resource, source_hash

__all__ = ["Cell", "Figure", "Headline", "Report", "Section", "Table", "render", "render_figure"]


@dataclass(frozen=True)
class Headline:
    """One number at the top of the page, with its meaning."""

    value: str
    label: str


@dataclass(frozen=True)
class Cell:
    """Cell of a table: a text, and optionally a bar of this share of the cell's width."""

    text: str
    share: float | None = None


@dataclass(frozen=True)
class Table:
    """Table with a header row; the first column names the row."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]


@dataclass(frozen=True)
class Figure:
    """A chart or a table with its title and one sentence of explanation."""

    title: str
    sentence: str
    chart: Chart | None = None
    table: Table | None = None
    wide: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page; one without figures is left out, unless `empty` says why there are none."""

    key: str
    title: str
    figures: Sequence[Figure] = ()
    empty: str = ""
    link: tuple[str, str] | None = None  # relative address, text


@dataclass(frozen=True)
class Report:
    """Content of a page, in order."""

    title: str
    subtitle: str
    headlines: Sequence[Headline] = ()
    warnings: Sequence[str] = ()
    sections: Sequence[Section] = field(default_factory=tuple)


def render(report: Report) -> str:
    """Return the HTML text of a report; the same report gives the same text."""
    return _render("report.html", report.title, report=report)


def render_figure(figure: Figure) -> str:
    """Return the HTML text of a page with the chart of one figure."""
    return _render("figure.html", figure.title, figure=figure)


def _render(template: str, title: str, **content: Report | Figure) -> str:
    style = page_style("report/report.css")
    policy = f"default-src 'none'; style-src {source_hash(style)}; base-uri 'none'; form-action 'none'"
    return _template(template).render(title=title, style=style, policy=policy, **content)


def _template(name: str) -> JinjaTemplate:
    environment = Environment(
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        loader=_Resources(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = short_number
    environment.tests["cell"] = lambda value: isinstance(value, Cell)
    return environment.get_template(name)


class _Resources(BaseLoader):
    """Loader of the templates that lie in the package, also in a wheel."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str | None, None]:
        return read_resource(f"report/{template}"), None, None
