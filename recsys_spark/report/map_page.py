"""A map as one HTML file: the page's parts lie in resources/item_map, the data go in as JSON that is never run.

Names of items are other people's text. In the JSON no character can end the script element that holds it; the page
writes them as text alone; and a policy in the page forbids every script but its own, by hash, and every request.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from recsys_spark.report.map_groups import Groups
from recsys_spark.report.map_items import Neighbours

__all__ = ["ItemMap", "map_page"]

SCRIPTS = ("data.js", "view.js", "drawing.js", "panel.js", "search.js", "start.js")
# Points as whole numbers of this range, similarities as thousandths: half the size of a file of floats.
SIDE = 65_535
# Items of the list that needs neither a canvas nor a script.
LISTED = 50
# What could end the script element, or a line of old JavaScript.
ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


@dataclass(frozen=True)
class ItemMap:
    """All that a page shows: items by number of users descending, each list as long as there are items."""

    model_version: str
    algorithm: str
    item_id: Sequence[str]
    name: Sequence[str]
    users: Sequence[int]
    points: NDArray[np.float64]  # (n, 2)
    groups: Groups
    neighbours: Sequence[Neighbours]


def map_page(item_map: ItemMap) -> str:
    """The whole file. The same map gives the same text."""
    style = _resource("page.css")
    script = "\n".join(map(_resource, SCRIPTS))
    policy = f"default-src 'none'; script-src {_hash_of(script)}; style-src {_hash_of(style)}; base-uri 'none'"
    parts = {
        "policy": policy + "; form-action 'none'",
        "title": html.escape(f"Items of {item_map.model_version}"),
        "model": html.escape(item_map.model_version),
        "items": f"{len(item_map.item_id):,}",
        "style": style,
        "script": script,
        "data": _as_json(item_map),
        "list": "\n".join(_listed(item_map)),
    }
    # In one go: what looks like a place to fill in is none where it comes with the data.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _resource("page.html"))


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
            "groups": [list(places) for places in item_map.groups.of_items],
            "near": [near.places for near in item_map.neighbours],
            "similarity": [[round(1000 * value) for value in near.similarity] for near in item_map.neighbours],
        },
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).translate(ESCAPES)


def _listed(item_map: ItemMap) -> list[str]:
    rows = zip(item_map.name[:LISTED], item_map.users[:LISTED], strict=True)
    return [f"<li><b>{html.escape(name)}</b> <small>{users:,} users</small></li>" for name, users in rows]


def _resource(name: str) -> str:
    return (files("recsys_spark") / "resources" / "item_map" / name).read_text(encoding="utf-8")


def _hash_of(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
