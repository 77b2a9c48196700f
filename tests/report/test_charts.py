"""Tests of the geometry of charts, against places computed by hand."""

import math

import pytest

from recsys_spark.report.charts import Bar, Series, bar_chart, line_chart, short_number


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (7, "7"), (1234, "1.23k"), (17_559_530, "17.6M"), (2.5e9, "2.5B"), (0.0341, "0.0341"), (-1500, "-1.5k")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert short_number(value) == text


def test_a_line_goes_from_corner_to_corner() -> None:
    chart = line_chart("s", "x", "y", [Series("a", [(0, 0), (5, 5), (10, 10)])])
    assert chart is not None
    assert [tick.text for tick in chart.x_ticks] == ["0", "2", "4", "6", "8", "10"]
    (mark,) = chart.marks
    middle = ((chart.left + chart.right) / 2, (chart.top + chart.bottom) / 2)
    assert mark.path == f"M{chart.left}.0 {chart.bottom}.0L{middle[0]} {middle[1]}L{chart.right}.0 {chart.top}.0"
    assert mark.circles[1][2] == "a: 5, 5" and chart.legend == ()


def test_equal_factors_are_equal_distances_on_a_log_axis() -> None:
    chart = line_chart("s", "x", "y", [Series("a", [(1, 1), (10, 10), (100, 100), (0, 5), (5, -1)])], "log", "log")
    assert chart is not None
    first, second, third = (x for x, _, _ in chart.marks[0].circles)
    assert second - first == pytest.approx(third - second)
    assert [tick.text for tick in chart.y_ticks] == ["1", "10", "100"]


@pytest.mark.parametrize("points", [[], [(math.nan, 1.0)], [(1.0, math.inf)]])
def test_nothing_to_draw_is_no_chart(points: list[tuple[float, float]]) -> None:
    assert line_chart("s", "x", "y", [Series("a", points)]) is None
    assert bar_chart("s", "x", "y", []) is None


@pytest.mark.parametrize("value", [0.0, 1e-9, 3.0, -2.0, 1e12])
def test_a_single_value_has_an_axis_that_holds_it(value: float) -> None:
    chart = line_chart("s", "x", "y", [Series("a", [(value, value)])])
    assert chart is not None
    ((x, y, _),) = chart.marks[0].circles
    assert chart.left <= x <= chart.right and chart.top <= y <= chart.bottom


def test_parts_of_a_bar_stand_on_each_other() -> None:
    chart = bar_chart("s", "x", "y", [Bar("d1", [3, 1]), Bar("d2", [0, 0])], ("valid", "refused"))
    assert chart is not None and chart.legend == ("valid", "refused")
    (x, y, width, height, text), empty = chart.marks[0].rectangles
    upper = chart.marks[1].rectangles[0]
    drawn = chart.bottom - chart.top
    assert height == pytest.approx(drawn * 3 / 4, abs=0.1) and y + height == pytest.approx(chart.bottom, abs=0.1)
    assert upper[1] + upper[3] == pytest.approx(y, abs=0.2) and upper[0] == x and upper[2] == width
    assert text == "d1: valid, 3" and empty[3] == 0


def test_names_below_bars_are_thinned_out() -> None:
    chart = bar_chart("s", "x", "y", [Bar(str(day), [1]) for day in range(31)])
    assert chart is not None and len(chart.x_ticks) <= 6 and len(chart.marks[0].rectangles) == 31
