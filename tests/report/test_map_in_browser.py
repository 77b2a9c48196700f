"""Tests of the page in headless Chromium: links, search, pointer and keyboard.

Chromium prints the final DOM of the page. To act on the page, a test adds a script to it, and the script's hash to the
page's policy; the script's result is in #outcome.
"""

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from recsys_spark.report.map_groups import group_by_values
from recsys_spark.report.map_items import Neighbours
from recsys_spark.report.map_page import ItemMap, map_page
from tests.report.browser import BROWSER_MARKS, page_dom

pytestmark = BROWSER_MARKS

HOSTILE = "</script><img src=x onerror=alert(1)>"
ITEMS = [HOSTILE, "Star Harbour", "Am\u00e9lie", "Stray Star", "Costar", "Silver <b>River</b>", "\u5ddd\u306e\u6b4c"]
GENRES = ["Drama", "Sci-Fi", "Romance", "Sci-Fi", "Drama", "Drama", "Romance"]
NEAR = [[1, 5, 2], [3, 4], [0], [1], [1], [], [2]]

# Functions for scripts of tests: wait, press a key, point at an item.
TOOLS = """
const pause = () => new Promise((resolve) => setTimeout(resolve, 700));
const press = (node, key) => node.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const point = (kind, x, y, id = 1) => {
  const box = canvas.getBoundingClientRect();
  const place = { clientX: box.left + x, clientY: box.top + y, pointerId: id, bubbles: true };
  canvas.dispatchEvent(new PointerEvent(kind, place));
};
const at = (item) => [screenX(X[item]), screenY(Y[item])];
const title = () => document.querySelector("#pinned h2")?.textContent ?? null;
const attempt = async () => { BODY };
attempt().then((found) => found, (error) => String(error)).then((found) => {
  const outcome = document.createElement("pre");
  outcome.id = "outcome";
  outcome.textContent = JSON.stringify(found);
  document.body.append(outcome);
});
"""


def page() -> str:
    points = np.array([[0, 0], [10, 0], [0, 10], [10, 10], [20, 0], [20, 10], [30, 5]], dtype=np.float64)
    near = [Neighbours(places, [0.95 - 0.1 * place for place in range(len(places))]) for places in NEAR]
    ids = [f"id&{item}" for item in range(7)]
    groups = group_by_values("genres", list(GENRES))
    return map_page(ItemMap("als-0123456789ab", "als", ids, ITEMS, [90, 80, 70, 60, 50, 40, 1], points, groups, near))


def final_dom(folder: Path, text: str, address: str = "", ignored: str = "nothing") -> str:
    """Return the final DOM of a page whose script has run."""
    # Virtual time draws no frames of an animation.
    options = ("--virtual-time-budget=20000", "--force-prefers-reduced-motion")
    return page_dom(folder, text, 1200, options, address, ignored)


def run_script(folder: Path, body: str, address: str = "", ignored: str = "nothing") -> Any:
    """Run a script in the page and return its result."""
    script = TOOLS.replace("BODY", body)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = page().replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    text = text.replace("</body>", f"<script>{script}</script>\n</body>")
    (outcome,) = re.findall(r'<pre id="outcome">(.*?)</pre>', final_dom(folder, text, address, ignored), re.DOTALL)
    return json.loads(html.unescape(outcome))


def part(dom: str, start: str, end: str) -> str:
    return dom[dom.index(start) :].partition(end)[0]


def test_a_link_to_an_item_shows_it_and_its_neighbours_in_order_as_plain_text(tmp_path: Path) -> None:
    dom = final_dom(tmp_path, page(), "#" + "item=" + quote("id&0", safe=""))
    panel = part(dom, '<section id="pinned"', "</section>")
    assert f"<h2>{html.escape(HOSTILE, quote=False)}</h2>" in panel and "90 users" in panel
    lines = re.findall(r"<span>(.*?)</span><small[^>]*>([\d.]+)</small>", panel)
    assert lines == [("Star Harbour", "0.950"), ("Silver &lt;b&gt;River&lt;/b&gt;", "0.850"), ("Am\u00e9lie", "0.750")]
    assert "<img" not in dom


def test_a_link_to_a_search_shows_matches_with_prefixes_first(tmp_path: Path) -> None:
    found = part(final_dom(tmp_path, page(), "#search=STAR"), '<ul id="found"', "</ul>")
    assert re.findall(r"<span>(.*?)</span>", found) == ["Star Harbour", "Stray Star", "Costar"]
    accents = part(final_dom(tmp_path, page(), "#search=amelie"), '<ul id="found"', "</ul>")
    assert re.findall(r"<span>(.*?)</span>", accents) == ["Am\u00e9lie"]
    nothing = final_dom(tmp_path, page(), "#search=zzz")
    assert re.search(r'<p id="none-found" role="status">', nothing)


def test_search_by_keyboard_then_from_neighbour_to_neighbour_and_back(tmp_path: Path) -> None:
    seen = run_script(
        tmp_path,
        """
        field.focus();
        field.value = "star";
        field.dispatchEvent(new Event("input", { bubbles: true }));
        press(field, "ArrowDown"); press(field, "ArrowDown"); press(field, "ArrowUp");
        const marked = document.getElementById(field.getAttribute("aria-activedescendant")).textContent;
        press(field, "Enter");
        await pause();
        const pinned = [title(), decodeURIComponent(location.hash), foundList.hidden];
        document.querySelector("#pinned li button").click();
        await pause();
        const next = title();
        history.back();
        await pause();
        const back = title();
        press(canvas, "Escape");
        await pause();
        return { marked, pinned, next, back, left: [title(), pinnedPanel.hidden, location.hash] };
        """,
    )
    assert seen == {
        "marked": "Stray Star60 users",
        "pinned": ["Stray Star", "#item=id&3", True],
        "next": "Star Harbour",
        "back": "Stray Star",
        "left": [None, True, ""],
    }


def test_dots_are_drawn_hovered_and_pinned_where_they_are(tmp_path: Path) -> None:
    seen = run_script(
        tmp_path,
        """
        await pause();
        const [x, y] = at(2);
        const row = pen.getImageData(0, y * view.ratio, canvas.width, 1).data;
        const colour = (left) => String(row.slice(4 * Math.round(left), 4 * Math.round(left) + 3));
        point("pointermove", x, y);
        const tipText = [...tip.children].map((line) => line.textContent);
        point("pointerdown", x, y); point("pointerup", x, y);
        await pause();
        const pinned = title();
        point("pointermove", 3, 3);
        return { isDrawn: colour(x * view.ratio) !== colour(3), tipText, pinned, tipIsGone: tip.hidden };
        """,
    )
    assert seen == {
        "isDrawn": True,
        "tipText": ["Am\u00e9lie", "70 users", "Romance"],
        "pinned": "Am\u00e9lie",
        "tipIsGone": True,
    }


def test_a_pinned_item_and_its_neighbours_fill_the_view(tmp_path: Path) -> None:
    seen = run_script(
        tmp_path,
        """
        await pause();
        const [x, y] = at(3);
        point("pointerdown", x, y); point("pointerup", x, y);
        await pause();
        const framed = () => [view.scale / view.fitted, ...[state.pinned, ...ITEMS.near[state.pinned]].map(at).flat()];
        const clicked = framed();
        document.querySelector("#pinned li button").click();
        await pause();
        return { clicked, next: [title(), framed()], size: [view.width, view.height] };
        """,
    )
    width, height = seen["size"]
    # Stray Star (10, 10) and Star Harbour (10, 0); from there to Stray Star and Costar (20, 0).
    zoom, *places = seen["clicked"]
    assert zoom > 1.2
    middle = [pytest.approx(width / 2, abs=1), pytest.approx(height / 2, abs=1)]
    assert [(places[0] + places[2]) / 2, (places[1] + places[3]) / 2] == middle
    assert {round(min(places[1], places[3])), round(max(places[1], places[3]))} == {90, round(height - 90)}
    assert seen["next"][0] == "Star Harbour"
    zoom, *places = seen["next"][1]
    assert zoom > 1.2 and all(0 < x < width for x in places[::2]) and all(0 < y < height for y in places[1::2])


def test_wheel_and_drag_and_two_fingers_move_the_map(tmp_path: Path) -> None:
    seen = run_script(
        tmp_path,
        """
        await pause();
        const whole = view.scale;
        const [x, y] = at(1);
        const turn = { deltaY: -100, clientX: x, clientY: y, bubbles: true, cancelable: true };
        canvas.dispatchEvent(new WheelEvent("wheel", turn));
        const wheeled = [view.scale / whole, Math.hypot(at(1)[0] - x, at(1)[1] - y)];
        point("pointerdown", 100, 100); point("pointermove", 140, 130); point("pointerup", 140, 130);
        const dragged = [at(1)[0] - x, at(1)[1] - y, title()];
        const before = view.scale;
        point("pointerdown", 200, 200, 1); point("pointerdown", 300, 200, 2);
        point("pointermove", 400, 200, 2);
        point("pointerup", 200, 200, 1); point("pointerup", 400, 200, 2);
        const pinched = view.scale / before;
        document.querySelector("[data-zoom=fit]").click();
        await pause();
        return { wheeled, dragged, pinched, fitted: view.scale / whole };
        """,
    )
    assert seen["wheeled"] == [pytest.approx(1.284, abs=0.01), pytest.approx(0, abs=0.5)]
    assert seen["dragged"] == [pytest.approx(40, abs=0.5), pytest.approx(30, abs=0.5), None]
    assert seen["pinched"] == pytest.approx(2) and seen["fitted"] == pytest.approx(1)


def test_the_legend_filters_the_items_and_the_address_keeps_the_filter(tmp_path: Path) -> None:
    seen = run_script(
        tmp_path,
        """
        const states = () => [...document.querySelectorAll("#legend li button")].map((b) => b.ariaPressed);
        document.querySelector("#legend li button").click();
        await pause();
        const first = { states: states(), hits: [itemAt(...at(0)), itemAt(...at(1))], hash: location.hash };
        document.getElementById("all-groups").click();
        await pause();
        return { first, after: states(), hits: itemAt(...at(1)) };
        """,
    )
    assert seen["first"] == {"states": ["true", "false", "false"], "hits": [0, -1], "hash": "#group=Drama"}
    assert seen["after"] == ["false"] * 3 and seen["hits"] == 1


def test_items_that_a_filter_leaves_out_are_the_same_dots_but_pale(tmp_path: Path) -> None:
    seen = run_script(
        tmp_path,
        """
        await pause();
        const [x, y] = at(1);
        const radius = SIZE[1] * dotUnit();
        const pixel = (left, top) => [...pen.getImageData(left * view.ratio, top * view.ratio, 1, 1).data.slice(0, 3)];
        const corner = [x - 0.85 * radius, y - 0.85 * radius];
        const look = () => ({ middle: pixel(x, y), corner: pixel(...corner), ground: pixel(2, 2) });
        const before = look();
        document.querySelector("#legend li button").click();
        await pause();
        return { before, after: look() };
        """,
        "#group=Romance",
        ignored="Multiple readback",
    )
    # Romance and Drama are shown; Star Harbour is neither.
    for state in ("before", "after"):
        look = seen[state]
        assert look["corner"] == look["ground"], "the dot is round"
        assert max(look["middle"]) - min(look["middle"]) >= 8, "the dot has its colour"
        assert 0 < max(abs(a - b) for a, b in zip(look["middle"], look["ground"], strict=True)) < 60, "and is pale"


def test_the_page_refuses_requests_and_other_scripts(tmp_path: Path) -> None:
    seen = run_script(
        tmp_path,
        """
        const refused = [];
        document.addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
        await fetch("http://127.0.0.1:9/").catch(() => null);
        const image = new Image();
        image.src = "http://127.0.0.1:9/x.png";
        document.body.append(image);
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script);
        await pause();
        return { refused: refused.sort(), ran: window.ran ?? false };
        """,
        ignored="Content Security Policy",
    )
    assert seen == {"refused": ["connect-src", "img-src", "script-src-elem"], "ran": False}
