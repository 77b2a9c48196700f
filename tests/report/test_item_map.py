"""Tests of build_item_map: the file against the tables, settings and error messages."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F

from tests.conftest import Workspace

HOSTILE = "</script><img src=x onerror=alert(1)>"
TITLES = [HOSTILE, "Am\u00e9lie", "Heat", "Alien", "Brazil", "Fargo", "Antz", "Big", "Jaws", "Babe"]
GENRES = [
    "Drama",
    "Drama|Romance",
    "Action",
    "Horror",
    "Sci-Fi|Drama",
    "Crime",
    "Animation",
    "Comedy",
    "Horror",
    "Drama",
]


def train(workspace: Workspace, folder: Path) -> None:
    """Write MovieLens files of ten films, ingest them and train a model.

    Even users rate even films; films with higher numbers have fewer users.
    """
    pairs = [(user, film) for user in range(24) for film in range(10) if user % 2 == film % 2 and user >= 2 * film]
    (folder / "movies.dat").write_text(
        "".join(f"{n}::{title}::{GENRES[n]}\n" for n, title in enumerate(TITLES)), encoding="latin-1"
    )
    (folder / "ratings.dat").write_text("".join(f"{user}::{film}::4::978300760\n" for user, film in pairs))
    workspace.done("ingest_plays", "--source.format", "movielens", "--source.path", folder)
    workspace.done("build_interactions")
    workspace.done("train_spark_model", "--models.als.rank", 4, "--models.als.max_iter", 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the tables that all tests of this file start from."""
    return tmp_path_factory.mktemp("films")


@pytest.fixture
def trained(workspace: Workspace, folder: Path) -> Workspace:
    """Return a workspace with a copy of these tables; the first test creates them."""
    origin = Workspace(workspace.spark, folder / "tables", workspace.capsys)
    if not origin.root.exists():
        train(origin, folder)
    shutil.copytree(origin.root, workspace.root)
    return workspace


def data_of(path: Path) -> dict[str, Any]:
    (text,) = re.findall(r'id="data">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


def users_by_item(workspace: Workspace) -> list[tuple[str, int]]:
    counts = workspace.table("interactions").groupBy("item_idx").agg(F.count("*").alias("users"))
    rows = counts.join(workspace.table("item_index"), on="item_idx", how="inner").collect()
    ordered = sorted(rows, key=lambda row: (-row["users"], row["item_idx"]))
    return [(row["item_id"], row["users"]) for row in ordered]


def test_the_file_holds_what_the_tables_hold(trained: Workspace) -> None:
    without = trained.run("build_item_map")
    assert without.code == 4 and "build_item_similarity" in without.stderr
    trained.done("build_item_similarity")
    outcome = trained.done("build_item_map")
    (version,) = [row["model_version"] for row in trained.table("models").collect()]
    path = trained.root / "_files" / "maps" / f"{version}.html"
    assert outcome.summary["outputs"] == {"item_map": str(path)} and f"item map: {path}" in outcome.stdout
    assert outcome.rows == {"items": 10, "items_without_vector": 0, "groups": 8, "neighbours": 90}
    assert re.search(r"of the 9 nearest items of each item that stay nearest: [\d.]+ % on the map", outcome.stderr)
    first = path.read_bytes()
    trained.done("build_item_map")
    assert path.read_bytes() == first

    items, groups = data_of(path)["items"], data_of(path)["groups"]
    assert list(zip(items["id"], items["users"], strict=True)) == users_by_item(trained)
    assert items["name"] == [TITLES[int(item)] for item in items["id"]]
    for item, places in zip(items["id"], items["groups"], strict=True):
        assert {groups["names"][place] for place in places} == set(GENRES[int(item)].split("|"))
    rows = trained.table("item_similarity").orderBy("item_id", "position").collect()
    expected = [(row["item_id"], row["similar_item_id"], round(1000 * row["similarity"])) for row in rows]
    lists = zip(items["id"], items["near"], items["similarity"], strict=True)
    shown = [
        (item, items["id"][place], similarity)
        for item, near, similar in lists
        for place, similarity in zip(near, similar, strict=True)
    ]
    assert sorted(shown) == sorted(expected) and len(shown) == 90
    for near in items["similarity"]:
        assert near == sorted(near, reverse=True)


@pytest.mark.slow
def test_settings_and_refused_values(trained: Workspace, tmp_path: Path) -> None:
    trained.done("build_item_similarity")
    path = tmp_path / "elsewhere" / "map.html"
    limits = ["--map.path", path, "--map.max_items", 4, "--map.neighbours", 2]
    outcome = trained.done("build_item_map", *limits, "--map.colour", "clusters", "--map.clusters", 2)
    assert outcome.rows == {"items": 4, "items_without_vector": 0, "groups": 2, "neighbours": 8}
    data = data_of(path)
    chosen = [item for item, _ in users_by_item(trained)[:4]]
    assert data["items"]["id"] == chosen and data["groups"]["title"] == "clusters"
    similar = trained.table("item_similarity").orderBy("position").collect()
    for item, near in zip(chosen, data["items"]["near"], strict=True):
        on_map = [r["similar_item_id"] for r in similar if r["item_id"] == item and r["similar_item_id"] in chosen]
        assert [chosen[place] for place in near] == on_map[:2]

    unknown = trained.run("build_item_map", "--map.colour", "mood")
    assert unknown.code == 2 and "'mood'" in unknown.stderr
    taken = trained.run("build_item_map", "--map.path", "/dev/null/map.html")
    assert taken.code == 2 and "/dev/null/map.html" in taken.stderr
    remote = trained.run("build_item_map", "--map.path", "s3://bucket/map.html")
    assert remote.code == 2 and "s3://bucket/map.html" in remote.stderr
    trained.done("train_spark_model", "--model.kind", "popularity")
    popular = trained.run("build_item_map", "--model.kind", "popularity")
    assert popular.code == 2 and "no item vectors" in popular.stderr
