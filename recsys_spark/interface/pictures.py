"""Pictures for notebooks, with the looks of the report.

A picture is a page of its own in a frame, so that its style does not change the notebook.
"""

from dataclasses import dataclass, field
from html import escape
from typing import Any

import pandas as pd

from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.report.charts import Bar, Chart, Scale, Series, bar_chart, line_chart
from recsys_spark.report.page import Figure, render_figure

__all__ = ["Picture", "bars", "lines"]

HEIGHT = 440


@dataclass(frozen=True)
class Picture:
    """A page of HTML, which a notebook shows in a frame; the height is in pixels."""

    html: str = field(repr=False)
    height: int = HEIGHT

    def _repr_html_(self) -> str:
        """Show the page in a notebook."""
        style = f"width:100%;max-width:36rem;height:{self.height}px;border:0"
        return f'<iframe srcdoc="{escape(self.html, quote=True)}" style="{style}"></iframe>'


def bars(frame: pd.DataFrame, x: str, y: str, title: str, interval: tuple[str, str] | None = None) -> Picture:
    """Return a picture of one bar a row: column `x` names it, column `y` is its height.

    `interval` names the columns of the lower and upper limit of the height.

    Raises:
        ConfigError: The frame has no such column.
        MissingInputError: The frame has no rows.
    """
    _check(frame, x, y, *(interval or ()))
    ranges: list[Any] = [None] * len(frame)
    if interval is not None:
        low, high = interval
        ranges = [(float(a), float(b)) for a, b in zip(frame[low], frame[high], strict=True)]
    rows = [
        Bar(str(name), [float(value)], limits) for name, value, limits in zip(frame[x], frame[y], ranges, strict=True)
    ]
    return _picture(bar_chart(title, x, y, rows), title)


def lines(frame: pd.DataFrame, x: str, y: str, title: str, by: str | None = None, x_scale: Scale = "linear") -> Picture:
    """Return a picture of the points (`x`, `y`) of the rows.

    Each value of column `by` has a line of its own.

    Raises:
        ConfigError: The frame has no such column.
        MissingInputError: The frame has no rows to draw.
    """
    _check(frame, x, y, *([] if by is None else [by]))
    groups: list[tuple[Any, pd.DataFrame]] = [(y, frame)] if by is None else list(frame.groupby(by, sort=False))
    drawn = [
        Series(str(name), [(float(a), float(b)) for a, b in zip(group[x], group[y], strict=True)])
        for name, group in groups
    ]
    return _picture(line_chart(title, x, y, drawn, x_scale=x_scale), title)


def _check(frame: pd.DataFrame, *columns: str) -> None:
    for column in columns:
        if column not in frame.columns:
            raise ConfigError(f"the frame has no column {column!r}; there are {', '.join(map(str, frame.columns))}")


def _picture(chart: Chart | None, title: str) -> Picture:
    if chart is None:
        raise MissingInputError(f"{title}: there is nothing to draw, as the frame has no rows")
    return Picture(render_figure(Figure(title, "", chart)))
