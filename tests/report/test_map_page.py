"""Tests of the HTML page: its data, escaping of hostile names, and its security policy."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from recsys_spark.report.map_groups import COLOURED_GROUPS, Groups, group_by_clusters, group_by_values
from recsys_spark.report.map_items import Neighbours
from recsys_spark.report.map_page import ItemMap, map_page

HOSTILE = "</script><img src=x onerror=alert(1)>"
NAMES = [
    HOSTILE,
    "{{data}} {{policy}}",
    "Am\u00e9lie \u2028 & \u2029 <!--<script>",
    "\U0001f3b5 \u5ddd\u306e\u6b4c",
    "'\"\\",
]


class Elements(HTMLParser):
    """Tags of a page with their attributes, and the text of each script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script" and self.cdata_elem == "script":
            self.scripts[-1] += data


def small_map(names: list[str] = NAMES) -> ItemMap:
    n = len(names)
    points = np.stack([np.arange(n), np.arange(n) % 2], axis=1).astype(np.float64)
    near = [Neighbours([(item + 1) % n, (item + 2) % n], [0.98765, -0.25]) for item in range(n)]
    groups = group_by_values("genres", [f"a|{HOSTILE}", "a", None, "b,a", "a; c"][:n])
    ids = [f"id {item}" for item in range(n)]
    return ItemMap("als-0123456789ab", "als", ids, names, list(range(50, 50 - n, -1)), points, groups, near)


@pytest.fixture(scope="module")
def page() -> str:
    return map_page(small_map())


def data_of(page: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Elements(page).scripts[0])
    return found


def test_the_data_are_those_of_the_map(page: str) -> None:
    data = data_of(page)
    items = data["items"]
    assert (data["model"], data["algorithm"]) == ("als-0123456789ab", "als")
    assert items["name"] == NAMES and items["id"] == [f"id {item}" for item in range(5)]
    assert items["users"] == [50, 49, 48, 47, 46]
    assert items["near"][4] == [0, 1] and items["similarity"][0] == [988, -250]
    assert items["x"] == [0, 16384, 32768, 49151, 65535] and items["y"] == [0, 16384, 0, 16384, 0]
    assert data["groups"]["names"] == ["a", "</script><img src=x onerror=alert(1)>", "b", "c", "other"]
    assert data["groups"]["sizes"] == [4, 1, 1, 1, 1]


def test_hostile_names_add_no_element_and_no_character_that_ends_the_data(page: str) -> None:
    harmless, hostile = (Elements(map_page(small_map(names))).tags for names in (["a", "b", "c", "d", "e"], NAMES))
    assert [tag for tag, _ in hostile] == [tag for tag, _ in harmless]
    assert not [name for _, attributes in hostile for name in attributes if name.startswith("on")]
    (text,) = re.findall(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert not set("<>&\u2028\u2029") & set(text)
    assert HOSTILE not in page and "{{" not in page.replace("{{data}} {{policy}}", "")


def test_the_page_makes_no_requests_and_allows_only_its_own_script(page: str) -> None:
    elements = Elements(page)
    (policy,) = [a["content"] for _, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in str(policy).split(";"))
    digest = base64.b64encode(hashlib.sha256(elements.scripts[1].encode()).digest()).decode()
    assert rules["default-src"] == "'none'" and rules["script-src"] == f"'sha256-{digest}'"
    assert "unsafe" not in str(policy)
    assert not [a for _, a in elements.tags if {"src", "href", "style"} & a.keys()]
    assert "http://" not in page and "https://" not in page and "innerHTML" not in page


def test_the_list_without_canvas_has_the_most_played_items(page: str) -> None:
    listed = re.findall(r"<li><b>(.*?)</b> <small>(\d+) users</small></li>", page)
    assert len(listed) == 5
    assert listed[0] == ("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;", "50")


def test_the_same_map_gives_the_same_text(page: str) -> None:
    assert map_page(small_map()) == page


def test_items_at_one_place_are_drawn() -> None:
    one = small_map(["only"])
    assert data_of(map_page(one))["items"]["x"] == [0]


def test_an_item_is_coloured_by_the_smallest_of_its_groups() -> None:
    groups = group_by_values("genres", ["Drama|War", "Drama", "Drama, Comedy", "Comedy", "", None])
    assert groups.names == ("Drama", "Comedy", "War", "other")
    assert groups.item_groups == ((2, 0), (0,), (1, 0), (1,), (3,), (3,))
    assert groups.sizes == [3, 2, 1, 2]


def test_values_beyond_the_twenty_most_frequent_are_other() -> None:
    texts: list[str | None] = [f"v{number:02}" for number in range(25) for _ in range(30 - number)]
    groups = group_by_values("year", texts)
    assert groups.names == (*(f"v{number:02}" for number in range(20)), "other")
    assert groups.sizes[20] == sum(30 - number for number in range(20, 25))


def test_an_item_of_many_groups_takes_a_group_with_a_colour_of_its_own() -> None:
    texts: list[str | None] = [f"v{number}" for number in range(10) for _ in range(20 - number)]
    groups = group_by_values("genres", [*texts, "v9|v7|v1|v8"])
    assert groups.item_groups[-1] == (7, 1, 9, 8), "v7 is the smallest of the eight groups with colours"


def test_eight_colours_can_be_told_apart() -> None:
    """Compare colours in CIE 1976 L*a*b*, that of all other groups included."""
    script = (files("recsys_spark") / "resources" / "item_map" / "data.js").read_text(encoding="utf-8")
    (listed,), (other,) = re.findall(r"COLOURS = \[(.*?)\]", script, re.DOTALL), re.findall(r'COLOUR = "(.*?)"', script)
    colours = re.findall(r"#[0-9a-f]{6}", listed)
    assert len(colours) == COLOURED_GROUPS == 8
    different = [np.linalg.norm(lab(one) - lab(two)) for one, two in combinations([*colours, other], 2)]
    assert min(different) >= 30


def lab(colour: str) -> NDArray[np.float64]:
    """Return L*a*b* of an sRGB colour (IEC 61966-2-1, white point D65)."""
    coded = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    )
    x, y, z = np.cbrt(to_xyz @ linear / [0.95047, 1, 1.08883])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_clusters_are_named_after_their_first_item() -> None:
    groups = group_by_clusters([0, 1, 1, 2], ["a", "b", "c", "d"])
    assert groups == Groups("clusters", ("around b", "around a", "around d"), ((1,), (0,), (0,), (2,)))
