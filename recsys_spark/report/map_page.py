"""HTML page of an item map, in one self-contained file.

The template, style and scripts lie in resources/item_map; the data are embedded as JSON. Item names are untrusted
text. The JSON escapes every character that could end its script element, and the page inserts names as text nodes.
A content security policy allows only the page's own script, by hash, and forbids all requests.
"""

import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys_spark.report.map_groups import Groups
from recsys_spark.report.map_items import Neighbours
from recsys_spark.report.page_resources import page_style, read_resource, source_hash

__all__ = ["ItemMap", "map_page"]

SCRIPTS = ("data.js", "view.js", "drawing.js", "panel.js", "search.js", "start.js")
# Points are whole numbers of this range and similarities thousandths, which halves the size of the file.
SIDE = 65_535
# Items of the list for browsers without a canvas or JavaScript.
LISTED = 50
# Characters that could end the script element, or a line in older JavaScript.
ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


@dataclass(frozen=True)
class ItemMap:
    """Content of a page: items by number of users descending; each sequence has one entry an item."""

    model_version: str
    algorithm: str
    item_id: Sequence[str]
    name: Sequence[str]
    users: Sequence[int]
    points: NDArray[np.float64]  # (n, 2)
    groups: Groups
    neighbours: Sequence[Neighbours]


def map_page(item_map: ItemMap) -> str:
    """Return the HTML text of a map; the same map gives the same text."""
    style = page_style("item_map/page.css")
    script = "\n".join(read_resource(f"item_map/{name}") for name in SCRIPTS)
    policy = f"default-src 'none'; script-src {source_hash(script)}; style-src {source_hash(style)}; base-uri 'none'"
    parts = {
        "policy": policy + "; form-action 'none'",
        "title": html.escape(f"Items of {item_map.model_version}"),
        "model": html.escape(item_map.model_version),
        "items": f"{len(item_map.item_id):,}",
        "style": style,
        "script": script,
        "data": _as_json(item_map),
        "list": "\n".join(_list_items(item_map)),
    }
    # One pass over the template, so that a placeholder inside an item name stays as it is.
    return re.sub(r"\{\{(\w+)\}\}", lambda placeholder: parts[placeholder[1]], read_resource("item_map/page.html"))


def _as_json(item_map: ItemMap) -> str:
    corner = item_map.points.min(axis=0)
    extent = max(float((item_map.points.max(axis=0) - corner).max()), 1e-9)
    x, y = np.rint((item_map.points - corner) / extent * SIDE).astype(int).T.tolist()
    data = {
        "model": item_map.model_version,
        "algorithm": item_map.algorithm,
        "groups": {
            "title": item_map.groups.title,
            "names": list(item_map.groups.names),
            "sizes": item_map.groups.sizes,
        },
        "items": {
            "id": list(item_map.item_id),
            "name": list(item_map.name),
            "users": list(item_map.users),
            "x": x,
            "y": y,
            "groups": [list(places) for places in item_map.groups.item_groups],
            "near": [near.places for near in item_map.neighbours],
            "similarity": [[round(1000 * value) for value in near.similarity] for near in item_map.neighbours],
        },
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).translate(ESCAPES)


def _list_items(item_map: ItemMap) -> list[str]:
    rows = zip(item_map.name[:LISTED], item_map.users[:LISTED], strict=True)
    return [f"<li><b>{html.escape(name)}</b> <small>{users:,} users</small></li>" for name, users in rows]
