"""Pictures of notebooks: frames whose content is text, with the values of the rows."""

import re
from html import unescape

import pandas as pd
import pytest

from recsys_spark import bars, lines
from recsys_spark.core.errors import ConfigError, MissingInputError

HOSTILE = "</script><img src=x onerror=alert(1)>"


def test_a_picture_is_a_frame_and_untrusted_text_stays_text() -> None:
    frame = pd.DataFrame({"name": [HOSTILE, "b"], "n": [2, 1]})
    shown = bars(frame, "name", "n", HOSTILE)._repr_html_()
    assert re.fullmatch(r'<iframe srcdoc="[^"]*" style="[^"]*"></iframe>', shown) and "<img" not in shown
    page = unescape(re.findall('srcdoc="([^"]*)"', shown)[0])
    assert "<img" not in page and page.count("<rect") == 2 and f"<title>{'&lt;/script&gt;'}" in page


def test_intervals_are_lines_over_the_bars() -> None:
    frame = pd.DataFrame({"name": ["a", "b"], "n": [2, 1], "low": [1, 0.5], "high": [4, 1.5]})
    page = bars(frame, "name", "n", "t", interval=("low", "high")).html
    drawn = re.findall(
        r'<g class="c0 interval">\s*<path class="stroke" d="M([\d.]+) ([\d.]+)h10M[\d.]+ [\d.]+V([\d.]+)M', page
    )
    tops = [float(y) for y in re.findall(r'<rect x="[\d.]+" y="([\d.]+)"', page)]
    assert [float(high) < top < float(low) for (_, high, low), top in zip(drawn, tops, strict=True)] == [True, True]
    assert drawn[0][1] == "12.0", "the axis reaches the highest limit"
    with pytest.raises(ConfigError, match="no column 'no'"):
        bars(frame, "name", "n", "t", interval=("low", "no"))


def test_lines_of_groups() -> None:
    frame = pd.DataFrame({"epoch": [1, 2, 1, 2], "loss": [4.0, 2.0, 3.0, 1.0], "kind": ["x", "x", "y", "y"]})
    page = lines(frame, "epoch", "loss", "Loss", by="kind").html
    assert page.count('class="stroke"') == 2 and ">x</li>" in page and ">y</li>" in page
    assert lines(frame[:2], "epoch", "loss", "Loss").html.count('class="stroke"') == 1


def test_missing_columns_and_rows_are_named() -> None:
    frame = pd.DataFrame({"a": [1.0], "b": [2.0]})
    with pytest.raises(ConfigError, match="no column 'c'; there are a, b"):
        lines(frame, "a", "c", "t")
    with pytest.raises(MissingInputError, match="nothing to draw"):
        bars(frame[:0], "a", "b", "t")


def test_points_that_cannot_be_told_apart_are_drawn_once() -> None:
    ranks = list(range(1, 20_001))
    frame = pd.DataFrame({"rank": ranks, "users": [300 / rank for rank in ranks]})
    path = re.findall(r'class="stroke" d="M([^"]*)"', lines(frame, "rank", "users", "t", x_scale="log").html)[0]
    points = [tuple(map(float, point.split())) for point in path.split("L")]
    assert 100 < len(points) < 1_500 and points == sorted(points, key=lambda point: point[0])
    every = re.findall(r'class="stroke" d="M([^"]*)"', lines(frame[::100], "rank", "users", "t", x_scale="log").html)[0]
    assert every.split("L")[0] == path.split("L")[0], "the ends stay"
