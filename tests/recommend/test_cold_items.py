"""Items without plays: neighbours and recommendations with attributes, counts without.

Users of even numbers play rock, the others play folk; each lacks two of the items of their own taste.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Workspace

USERS, ITEMS = 24, 12
TASTES = ("rock", "folk")
CONTENT = ["--content.enabled", "true", "--content.min_items", "3", "--content.reg_param", "0.1"]
FLAGS = ["--model.kind", "als", "--models.als.rank", "4", "--recommendations.top_k", "3"]
LISTS = [*FLAGS, "--similarity.neighbours", "4"]
HEADER = "item_id,name,artist,genre,year\n"
NEW = 'new-rock,Something,,rock,\nnew-folk,"Song, of folk",,FOLK|unheard of,\n'
HOSTILE = f'silent,,,,\nlong,{"x" * 20_000},{"y" * 20_000},{"z" * 20_000},\nodd,💥 \' -- ""%,,\u202e|\u0000|é̂,\n'


@pytest.fixture
def raw(write: Callable[..., Path]) -> Path:
    plays = ["user_id,item_id,played_at"]
    for user in range(USERS):
        own = [item for item in range(ITEMS) if item % 2 == user % 2 and (item // 2 + user // 2) % 6 > 1]
        plays += [f"u{user:02d},i{item:02d},2024-01-{1 + item:02d}" for item in own]
    items = [f"i{item:02d},Song {item},,{TASTES[item % 2]},{1990 + item}" for item in range(ITEMS)]
    write("plays/plays.csv", "\n".join([*plays, ""]))
    return write("items/items.csv", HEADER + "\n".join([*items, ""])).parent.parent


@pytest.fixture
def trained(workspace: Workspace, raw: Path) -> Workspace:
    """Train a model before the new items arrive."""
    ingest(workspace, raw)
    workspace.done("build_interactions")
    workspace.done("train_spark_model", *FLAGS)
    return workspace


def ingest(workspace: Workspace, raw: Path) -> None:
    workspace.done("ingest_plays", "--source.format", "sample", "--source.path", raw)


def rows_of(workspace: Workspace, table: str, *order: str) -> list[dict[str, Any]]:
    return [row.asDict() for row in workspace.table(table).orderBy(*order).collect()]


def outputs(workspace: Workspace, *flags: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    workspace.done("build_item_similarity", *LISTS, *flags)
    workspace.done("build_recommendations", *LISTS, *flags)
    similar = rows_of(workspace, "item_similarity", "item_id", "position")
    return similar, rows_of(workspace, "recommendations", "user_id", "position")


@pytest.mark.slow
def test_new_items_have_neighbours_and_are_recommended(
    trained: Workspace, raw: Path, write: Callable[..., Path]
) -> None:
    before = outputs(trained)
    write("items/new.csv", HEADER + NEW + HOSTILE)
    ingest(trained, raw)
    trained.done("build_interactions", *LISTS)
    assert trained.table("item_index").count() == ITEMS, "items without plays are numbered only where content is on"
    assert outputs(trained) == before

    numbered = trained.done("build_interactions", *LISTS, *CONTENT)
    assert numbered.rows["new_items"] == 5
    index = {row["item_id"]: row["item_idx"] for row in trained.table("item_index").collect()}
    assert sorted(index.values()) == list(range(ITEMS + 5)) and all(index[f"i{n:02d}"] == n for n in range(ITEMS))
    assert outputs(trained) == before, "a model that was trained before works as it did"

    counted = trained.done("build_item_similarity", *LISTS, *CONTENT)
    assert (counted.rows["items_content"], counted.rows["items_without_attributes"]) == (2, 3)
    similar, recommended = outputs(trained, *CONTENT)
    for taste, name in enumerate(("new-rock", "new-folk")):
        near = [row["similar_item_id"] for row in similar if row["item_id"] == name]
        assert len(near) == 4 and all(int(item[1:]) % 2 == taste for item in near)
        listeners = {row["user_id"] for row in recommended if row["item_id"] == name}
        assert listeners and all(int(user[1:]) % 2 == taste for user in listeners)
    assert {row["item_id"] for row in similar} == {f"i{n:02d}" for n in range(ITEMS)} | {"new-rock", "new-folk"}
    assert {row["item_id"][:3] for row in recommended if row["origin"] == "content"} == {"new"}
    assert {row["origin"] for row in recommended if row["item_id"][:3] != "new"} == {"model"}
    # Items of the model keep their scores.
    scores = {(row["user_id"], row["item_id"]): row["score"] for row in before[1]}
    kept = [row for row in recommended if (row["user_id"], row["item_id"]) in scores]
    assert kept and all(row["score"] == scores[row["user_id"], row["item_id"]] for row in kept)

    versions = trained.versions()
    again = trained.done("build_interactions", *LISTS, *CONTENT)
    assert again.rows["new_items"] == 0 and outputs(trained, *CONTENT) == (similar, recommended)
    assert trained.versions() == versions, "the second run changes nothing"
    assert outputs(trained) == before


@pytest.mark.slow
def test_training_with_unplayed_items_in_the_index_changes_nothing(
    workspace: Workspace, raw: Path, write: Callable[..., Path]
) -> None:
    write("items/new.csv", HEADER + NEW)
    ingest(workspace, raw)
    workspace.done("build_interactions", *CONTENT)
    for kind in ("als", "lsa", "ease", "popularity"):
        flags = ["--model.kind", kind, "--models.als.rank", "4", "--models.lsa.rank", "2"]
        workspace.done("train_spark_model", *flags)
        outcome = workspace.done("build_recommendations", *flags, *CONTENT, "--recommendations.top_k", "20")
        has_vectors = kind in ("als", "lsa")
        assert outcome.rows.get("items_content", 0) == (2 if has_vectors else 0)
        assert ("users_content" in outcome.rows) == has_vectors
        recommended = workspace.table("recommendations").where(f"algorithm = '{kind}'").collect()
        assert any(row["item_id"].startswith("new") for row in recommended) == has_vectors


@pytest.mark.slow
def test_little_played_items_count_as_cold_if_configured(trained: Workspace) -> None:
    flags = [*FLAGS, *CONTENT]
    assert trained.done("build_recommendations", *flags).rows["items_content"] == 0
    plays = trained.table("interactions").groupBy("item_idx").sum("play_count").collect()
    most = max(row[1] for row in plays)
    few = sum(row[1] < most for row in plays)
    outcome = trained.done("build_recommendations", *flags, "--content.min_plays", str(most))
    assert outcome.rows["items_content"] == few
    # No item is left to learn from.
    outcome = trained.done("build_recommendations", *flags, "--content.min_plays", str(most + 1))
    assert outcome.rows["items_content"] == 0 and outcome.rows["users_model"] == USERS
