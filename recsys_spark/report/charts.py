"""Geometry of the charts of a report; the template draws it as SVG.

A chart has a fixed drawing area, and its SVG scales with the page. Coordinates are in its own units, y downwards.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Bar", "Chart", "Mark", "Series", "Tick", "bar_chart", "line_chart", "short_number"]

# Drawing area: at 390 pixels of page width a text of 12 units has 11 pixels.
WIDTH, HEIGHT = 400, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 40
# Colours that the style sheet defines for series.
MAX_SERIES = 6
MAX_TICKS = 6

Scale = Literal["linear", "log"]


@dataclass(frozen=True)
class Series:
    """Points of one line, in data units; `points` alone are drawn without a line."""

    name: str
    points: Sequence[tuple[float, float]]
    style: Literal["line", "points", "dashed"] = "line"


@dataclass(frozen=True)
class Bar:
    """One bar with stacked parts, in data units, bottom first; `name` stands below it.

    `interval` is the range (low, high) of the uncertain height.
    """

    name: str
    parts: Sequence[float]
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Tick:
    """A line of the grid with its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Mark:
    """Something to draw: `path` (line or polygon data), circles or rectangles, with a text for the pointer."""

    colour: int
    style: str
    path: str = ""
    circles: tuple[tuple[float, float, str], ...] = ()
    rectangles: tuple[tuple[float, float, float, float, str], ...] = ()


@dataclass(frozen=True)
class Chart:
    """A chart in drawing units. `summary` says in one sentence what it shows, for screen readers."""

    summary: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    legend: tuple[str, ...] = ()
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def line_chart(
    summary: str,
    x_label: str,
    y_label: str,
    series: Sequence[Series],
    x_scale: Scale = "linear",
    y_scale: Scale = "linear",
    y_from_zero: bool = True,
) -> Chart | None:
    """Return a chart of lines, or None if there is no point to draw.

    Lines after the first MAX_SERIES are left out, as are values that are not finite and, on a log axis, not positive.
    """
    drawn = [_drawable(one, x_scale, y_scale) for one in series[:MAX_SERIES]]
    xs = [x for one in drawn for x, _ in one.points]
    ys = [y for one in drawn for _, y in one.points]
    if not xs:
        return None
    x_place, x_ticks = _axis(min(xs), max(xs), x_scale, LEFT, WIDTH - RIGHT)
    low = 0.0 if y_from_zero and y_scale == "linear" and min(ys) >= 0 else min(ys)
    y_place, y_ticks = _axis(low, max(ys), y_scale, HEIGHT - BOTTOM, TOP)
    marks = tuple(_line(colour, one, x_place, y_place) for colour, one in enumerate(drawn))
    legend = tuple(one.name for one in drawn) if len(drawn) > 1 else ()
    return Chart(summary, x_label, y_label, x_ticks, y_ticks, marks, legend)


def bar_chart(
    summary: str, x_label: str, y_label: str, bars: Sequence[Bar], legend: Sequence[str] = (), gap: float = 0.2
) -> Chart | None:
    """Return a chart of stacked bars, or None if there is no bar; `gap` is the free share of a bar's place."""
    if not bars:
        return None
    top = max(1e-12, *(value for bar in bars for value in (sum(bar.parts), *(bar.interval or ()))))
    y_place, y_ticks = _axis(0.0, top, "linear", HEIGHT - BOTTOM, TOP)
    step = (WIDTH - RIGHT - LEFT) / len(bars)
    parts: list[list[tuple[float, float, float, float, str]]] = [[] for _ in range(max(len(b.parts) for b in bars))]
    for place, bar in enumerate(bars):
        x, below = LEFT + step * (place + gap / 2), 0.0
        for part, value in enumerate(bar.parts):
            up = y_place(below + value)
            name = f"{legend[part]}, " if len(legend) > part and len(legend) > 1 else ""
            text = f"{bar.name}: {name}{short_number(value)}"
            parts[part].append(_rounded(x, up, step * (1 - gap), y_place(below) - up, text))
            below += value
    marks = tuple(Mark(colour, "bar", rectangles=tuple(part)) for colour, part in enumerate(parts))
    marks += tuple(
        Mark(0, "interval", _interval(LEFT + step * (place + 0.5), *map(y_place, bar.interval)))
        for place, bar in enumerate(bars)
        if bar.interval is not None
    )
    every = math.ceil(len(bars) / MAX_TICKS)
    ticks = tuple(
        Tick(round(LEFT + step * (place + 0.5), 1), bar.name) for place, bar in enumerate(bars) if place % every == 0
    )
    return Chart(summary, x_label, y_label, ticks, y_ticks, marks, tuple(legend) if len(legend) > 1 else ())


def short_number(value: float) -> str:
    """Return a number with at most three digits and a unit: 1.2k, 17.6M, 0.034."""
    size = abs(value)
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.0f}" if value == round(value) else f"{value:.3g}"


def _drawable(series: Series, x_scale: Scale, y_scale: Scale) -> Series:
    def fits(value: float, scale: Scale) -> bool:
        return math.isfinite(value) and (scale == "linear" or value > 0)

    points = [(x, y) for x, y in series.points if fits(x, x_scale) and fits(y, y_scale)]
    return Series(series.name, points, series.style)


def _line(colour: int, series: Series, x_place: Callable[[float], float], y_place: Callable[[float], float]) -> Mark:
    places = [(round(x_place(x), 1), round(y_place(y), 1)) for x, y in series.points]
    texts = [f"{series.name}: {short_number(x)}, {short_number(y)}" for x, y in series.points]
    path = "" if series.style == "points" else "M" + "L".join(f"{x} {y}" for x, y in _apart(places)) if places else ""
    few = series.style != "dashed" and len(places) <= 40
    circles = tuple((x, y, text) for (x, y), text in zip(places, texts, strict=True)) if few else ()
    return Mark(colour, series.style, path, circles)


def _interval(x: float, low: float, high: float) -> str:
    return f"M{x - 5:.1f} {high:.1f}h10M{x:.1f} {high:.1f}V{low:.1f}M{x - 5:.1f} {low:.1f}h10"


def _apart(places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the first, the last and all places a pixel from the one before; others cannot be seen."""
    kept = places[:1]
    for place in places[1:]:
        if math.dist(place, kept[-1]) >= 1 or place is places[-1]:
            kept.append(place)
    return kept


def _axis(
    low: float, high: float, scale: Scale, start: float, end: float
) -> tuple[Callable[[float], float], tuple[Tick, ...]]:
    """Return the function from values to places between `start` and `end`, and the ticks."""
    if scale == "log":
        values = _log_ticks(low, high)
        low, high = min(low, values[0]), max(high, values[-1])
    else:
        values = _linear_ticks(low, high)
        low, high = min(low, values[0]), max(high, values[-1])
    transform = math.log10 if scale == "log" else float
    first, last = transform(low), transform(high)
    span = (last - first) or 1.0

    def place(value: float) -> float:
        return start + (transform(value) - first) / span * (end - start)

    return place, tuple(Tick(round(place(value), 1), short_number(value)) for value in values)


def _linear_ticks(low: float, high: float) -> list[float]:
    """Return round numbers that enclose the range, about MAX_TICKS of them."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / MAX_TICKS))
    for factor in (1, 2, 5, 10, 20):
        step = factor * power
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first < MAX_TICKS:
            break
    return [round(step * number, 12) for number in range(first, max(last, first + 1) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten that enclose the range, at most MAX_TICKS of them."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    every = max(1, math.ceil((last - first) / (MAX_TICKS - 1)))
    return [10.0**exponent for exponent in range(first, max(last, first + 1) + every, every)]


def _rounded(x: float, y: float, width: float, height: float, text: str) -> tuple[float, float, float, float, str]:
    return round(x, 1), round(y, 1), round(width, 1), round(max(height, 0.0), 1), text
