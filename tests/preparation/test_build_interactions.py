"""build_interactions: aggregation, numbering of ids, incremental builds."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F

from recsys_spark.config.load import load_config
from recsys_spark.preparation.increment import find_increment
from recsys_spark.preparation.interactions import SourceKind, aggregate_plays, number_plays, source_kinds
from recsys_spark.storage.tables import Tables
from tests.conftest import Workspace

Write = Callable[..., Path]
TIMED = ["--source.format", "plays", "--source.columns.played_at", "at"]
TOTALS = ["--source.format", "plays", "--source.kind", "totals", "--source.columns.play_count", "n"]
RATINGS = ["--source.format", "plays", "--source.kind", "ratings", "--source.columns.rating", "stars"]


def pairs(workspace: Workspace) -> set[tuple[Any, ...]]:
    """Return interactions with ids instead of numbers and times as epoch seconds."""
    rows = (
        workspace.table("interactions")
        .join(workspace.table("user_index"), "user_idx")
        .join(workspace.table("item_index"), "item_idx")
        .select("user_id", "item_id", "play_count", "rating", F.unix_seconds("last_played_at"))
    )
    return {tuple(row) for row in rows.collect()}


def deliver(workspace: Workspace, flags: list[str], *arguments: object) -> None:
    """Ingest all files that the test wrote, and build interactions."""
    workspace.done("ingest_plays", "--source.path", workspace.root.parent / "raw", *flags)
    workspace.done("build_interactions", *arguments)


def test_events_and_sources_are_summed_and_totals_and_ratings_replaced(workspace: Workspace, write: Write) -> None:
    def named(name: str, *flags: str) -> list[str]:
        return ["--source.path", str(workspace.root.parent / "raw" / name), "--source.name", name, *flags]

    write("events/a.csv", "user_id,item_id,at\nu,i,2024-01-01\nu,i,2024-01-02\nv,i,2024-01-01\n")
    path = write("totals/a.csv", "user_id,item_id,n\nu,i,100\nu,i,40\n")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    path = write("totals/b.csv", "user_id,item_id,n\nu,i,7\n")
    os.utime(path, (1_700_000_100, 1_700_000_100))
    write("ratings/a.csv", "user_id,item_id,stars,at\nu,i,5,2024-01-01\nu,i,2,2024-03-01\nu,j,4,2024-02-01\n")
    workspace.done("ingest_plays", *TIMED, *named("events"))
    workspace.done("ingest_plays", *TOTALS, *named("totals"))
    workspace.done("ingest_plays", *RATINGS, "--source.columns.played_at", "at", *named("ratings"))
    workspace.done("build_interactions")
    # u, i: two events + the newest total (7) + one for the rating, whose latest value is 2.
    assert {row[:4] for row in pairs(workspace)} == {("u", "i", 10, 2.0), ("u", "j", 1, 4.0), ("v", "i", 1, None)}


def test_of_totals_of_one_file_the_larger_counts(workspace: Workspace, write: Write) -> None:
    write("a.csv", "user_id,item_id,n\nu,i,3\nu,i,9\nu,i,4\n")
    deliver(workspace, TOTALS)
    assert {row[2] for row in pairs(workspace)} == {9}


@pytest.mark.slow
def test_a_third_first_and_the_rest_later_gives_the_same_as_all_at_once(workspace: Workspace, write: Write) -> None:
    lines = [f"u{n % 17},i{n % 23},2024-01-{1 + n % 28:02d}T00:00:{n % 60:02d}\n" for n in range(600)]
    header = "user_id,item_id,at\n"
    write("a.csv", header + "".join(lines[:200]))
    deliver(workspace, TIMED)
    first = {row["user_id"]: row["user_idx"] for row in workspace.table("user_index").collect()}
    # The second delivery repeats some plays of the first, as late deliveries do.
    write("b.csv", header + "".join(lines[150:]))
    deliver(workspace, TIMED)
    together = Workspace(workspace.spark, workspace.root.parent / "together", workspace.capsys)
    write("../whole/all.csv", header + "".join(lines))
    together.done("ingest_plays", *TIMED, "--source.path", workspace.root.parent / "whole")
    together.done("build_interactions")
    assert pairs(workspace) == pairs(together)
    later = {row["user_id"]: row["user_idx"] for row in workspace.table("user_index").collect()}
    assert first.items() <= later.items()
    operations = [c[1] for c in workspace.tables().commits("interactions")]
    assert operations[0] == "MERGE", "the second build was not incremental"


@pytest.mark.slow
def test_an_incremental_build_equals_a_full_one(workspace: Workspace, write: Write) -> None:
    for number, rows in enumerate(("u,i,5\nv,i,2\nv,j,1\n", "u,i,3\nw,k,1\n", "v,j,8\n")):
        path = write(f"{number}.csv", "user_id,item_id,n\n" + rows)
        os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
        deliver(workspace, TOTALS)
    built = pairs(workspace)
    assert {row[:3] for row in built} == {("u", "i", 3), ("v", "i", 2), ("v", "j", 8), ("w", "k", 1)}
    workspace.done("build_interactions", "--interactions.rebuild", "true")
    assert pairs(workspace) == built


def test_indexes_are_contiguous_sorted_by_id_and_unique(workspace: Workspace, write: Write) -> None:
    write("a.csv", "user_id,item_id,n\n" + "".join(f"{name},i,1\n" for name in ("b", "a", "Z", "é", "a ")))
    deliver(workspace, TOTALS)
    write("b.csv", "user_id,item_id,n\nA,i,1\nzz,j,1\n")
    deliver(workspace, TOTALS)
    index = {row["user_idx"]: row["user_id"] for row in workspace.table("user_index").collect()}
    assert [index[n] for n in range(7)] == ["Z", "a", "a ", "b", "é", "A", "zz"]


@pytest.mark.slow
def test_support_filters_count_different_items_and_users(workspace: Workspace, write: Write) -> None:
    write("a.csv", "user_id,item_id,n\nu,i,1\nu,j,1\nv,i,9\nv,k,1\nw,i,1\n")
    deliver(workspace, TOTALS, "--interactions.min_user_items", "2", "--interactions.min_item_users", "2")
    assert {row[:2] for row in pairs(workspace)} == {("u", "i"), ("v", "i")}
    assert workspace.table("user_index").count() == 3
    deliver(workspace, TOTALS)
    assert len(pairs(workspace)) == 5


def test_nothing_new_changes_nothing(workspace: Workspace, write: Write) -> None:
    write("a.csv", "user_id,item_id,n\nu,i,1\n")
    deliver(workspace, TOTALS)
    before = workspace.versions()
    deliver(workspace, TOTALS)
    assert workspace.versions() == before


@pytest.mark.parametrize("flags", [TIMED, RATINGS])
def test_plays_of_one_source_are_grouped_as_those_of_many(workspace: Workspace, write: Write, flags: list[str]) -> None:
    lines = [f"u{n % 5},i{n % 7},2024-01-{1 + n % 28:02d},{1 + n % 4}\n" for n in range(90)]
    write("a.csv", "user_id,item_id,at,stars\n" + "".join(lines))
    more = [] if flags == TIMED else ["--source.columns.played_at", "at"]
    deliver(workspace, [*flags, *more])
    plays = number_plays(*(workspace.table(name) for name in ("plays", "user_index", "item_index")))
    (source,) = source_kinds(plays)
    others = {source, SourceKind("another", "events"), SourceKind("a third", "totals")}
    grouped, general = (sorted(aggregate_plays(plays, each).collect()) for each in ({source}, others))
    assert grouped == general and len(grouped) == 35


def test_a_recreated_table_of_plays_is_built_from_again(workspace: Workspace, write: Write) -> None:
    write("a.csv", "user_id,item_id,n\nu,i,1\n")
    deliver(workspace, TOTALS)
    for table in ("plays", "ingested_files"):
        shutil.rmtree(workspace.root / table)
    write("a.csv", "user_id,item_id,n\nv,j,22\n")
    deliver(workspace, TOTALS)
    assert {row[:3] for row in pairs(workspace)} == {("v", "j", 22)}


@pytest.mark.slow
def test_restored_interactions_are_built_again(workspace: Workspace, write: Write) -> None:
    write("a.csv", "user_id,item_id,n\nu,i,1\n")
    deliver(workspace, TOTALS)
    workspace.spark.sql(f"RESTORE TABLE delta.`{workspace.root / 'interactions'}` TO VERSION AS OF 0")
    assert not pairs(workspace)
    deliver(workspace, TOTALS)
    assert len(pairs(workspace)) == 1


def test_all_plays_are_used_where_the_log_of_plays_was_cleared(
    workspace: Workspace, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        write(f"{number}.csv", f"user_id,item_id,n\nu,i{number},1\n")
        workspace.done("ingest_plays", "--source.path", workspace.root.parent / "raw", *TOTALS)
        if not number:
            workspace.done("build_interactions")
    settings, commits = load_config(["--tables.root", "any"], {}).interactions, Tables.commits
    assert len(find_increment(workspace.tables(), settings).run_ids or ()) == 2
    newest = workspace.tables().version("plays")
    monkeypatch.setattr(
        Tables, "commits", lambda self, name: [c for c in commits(self, name) if name != "plays" or c.version >= newest]
    )
    assert find_increment(workspace.tables(), settings).run_ids is None


def test_plays_must_exist(workspace: Workspace) -> None:
    outcome = workspace.run("build_interactions")
    assert outcome.code == 4 and "run ingest_plays first" in outcome.stderr
