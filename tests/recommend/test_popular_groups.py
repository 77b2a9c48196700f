"""Lists of users without plays: popularity in the smallest group of theirs that is large enough."""

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from recsys_spark.recommend.popular_groups import (
    group_candidates,
    group_counts,
    group_sizes,
    member_groups,
    popular_folder,
)
from tests.conftest import Workspace

Person = tuple[int, str | None, int | None]
BOTH = ("country", "age_group")
GROUPS = ["--recommendations.popular_min_users", "3", "--recommendations.top_k", "2"]
# Items that the users of each country play, by age group; "" is no country.
TASTES = {("KR", 20): "aab", ("KR", 40): "ccd", ("BR", 20): "eef", ("", 40): "ggh"}


def candidates(spark: SparkSession, people: Sequence[Person], by: tuple[str, ...] = BOTH) -> DataFrame:
    return group_candidates(spark.createDataFrame(people, "user_idx INT, country STRING, age INT"), by)


def keys(frame: DataFrame) -> dict[int, list[tuple[str | None, str | None]]]:
    found: dict[int, list[tuple[str | None, str | None]]] = {}
    for row in frame.orderBy("user_idx", "level").collect():
        found.setdefault(row["user_idx"], []).append(tuple(row["key"]))
    return found


def test_groups_are_ordered_by_detail_and_need_their_attributes(spark: SparkSession) -> None:
    people = [(0, "KR", 20), (1, "KR", None), (2, None, 60), (3, None, None), (4, " ", 17)]
    assert keys(candidates(spark, people)) == {
        0: [("KR", "18-24"), ("KR", None), (None, "18-24")],
        1: [("KR", None)],
        2: [(None, "55-")],
        4: [(None, "-17")],
    }
    assert keys(candidates(spark, people, ("country",))) == {0: [("KR", None)], 1: [("KR", None)]}
    assert keys(candidates(spark, people, ("age_group",)))[0] == [(None, "18-24")]


def played(spark: SparkSession, pairs: list[tuple[int, int]]) -> DataFrame:
    return spark.createDataFrame(pairs, "user_idx INT, item_idx INT")


def test_only_users_with_plays_make_a_group_large(spark: SparkSession) -> None:
    people: list[Person] = [(n, "KR" if n < 4 else "BR", None) for n in range(7)]
    plays = played(spark, [(0, 0), (0, 1), (1, 0), (4, 0), (5, 0), (6, 0)])

    def sizes(least: int, most: int) -> list[tuple[str, int]]:
        rows: list[Row] = group_sizes(candidates(spark, people), plays, least, most)
        return [(row["key"]["country"], row["users"]) for row in rows]

    assert sizes(1, 9) == [("BR", 3), ("KR", 2)]
    assert sizes(3, 9) == [("BR", 3)]
    assert sizes(1, 1) == [("BR", 3)]
    assert sizes(1, 0) == []


@pytest.mark.parametrize("partitions", [1, 7])
def test_counts_equal_a_loop_for_any_partitions(spark: SparkSession, partitions: int) -> None:
    random = np.random.default_rng(3)
    pairs = sorted({(user, item) for user, item in random.integers((40, 9), size=(300, 2)).tolist()})
    people = [(n, ["KR", "BR", None][n % 3], [20, 40, None][n % 2]) for n in range(40)]
    of_users = candidates(spark, people).repartition(partitions)
    named = [(("KR", "18-24"), 1), (("BR", None), 2), ((None, "35-44"), 3)]
    numbers = spark.createDataFrame(named, "key struct<country:string,age_group:string>, number INT")
    plays = played(spark, pairs).repartition(partitions, "item_idx")
    vectors = {row[0]: row[1] for row in group_counts(plays, member_groups(of_users, numbers), 3).collect()}
    users = len({user for user, _ in pairs})
    expected = {}
    for item in range(9):
        fans = [people[user] for user, other in pairs if other == item]
        counts = Counter({0: len(fans)})
        counts.update(1 for _, country, age in fans if (country, age) == ("KR", 20))
        counts.update(2 for _, country, _ in fans if country == "BR")
        counts.update(3 for _, _, age in fans if age == 40)
        share = len(fans) / (users + 1)
        expected[item] = [np.float32(v) for v in (len(fans), *(counts[n] + share for n in (1, 2, 3)))]
    assert vectors == expected


@pytest.fixture
def built(workspace: Workspace, write: Callable[..., Path]) -> Workspace:
    """Ingest plays of three users of each taste, and users without valid plays.

    Each user plays two items, one of them only one.
    """
    plays, users = ["user_id,item_id"], []
    for (country, age), items in TASTES.items():
        for number in range(3):
            name = f"{country or 'no'}-{age}-{number}"
            users.append((name, country or None, age))
            plays += [f"{name},{item}" for item in sorted(set(items[: 2 + number]))]
    path = write("plays.csv", "\n".join([*plays, ""]))
    workspace.done("ingest_plays", "--source.format", "plays", "--source.path", path)
    workspace.done("build_interactions")
    return workspace


def write_profiles(workspace: Workspace, people: list[tuple[str, str | None, int | None]]) -> None:
    """Write profiles, and indexes of users who have none yet."""
    tables = workspace.tables()
    rows = workspace.spark.createDataFrame(people, "user_id STRING, country STRING, age INT").withColumns(
        {
            "gender": F.lit(None).cast("string"),
            "attributes": F.lit(None).cast("map<string,string>"),
            "updated_at": F.current_timestamp(),
        }
    )
    tables.merge("users", rows, ("user_id",), {"country": "new.country", "age": "new.age"})
    indexes = {row["user_id"]: row["user_idx"] for row in tables.read("user_index").collect()}
    new = [(name, len(indexes) + place) for place, name in enumerate(n for n, _, _ in people if n not in indexes)]
    if new:
        tables.append("user_index", workspace.spark.createDataFrame(new, "user_id STRING, user_idx INT"))


def lists(workspace: Workspace) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for row in workspace.table("recommendations").orderBy("user_id", "position").collect():
        found.setdefault(row["user_id"], []).append((row["item_id"], row["origin"]))
    return found


@pytest.mark.slow
def test_new_users_get_the_list_of_their_group(built: Workspace) -> None:
    flags = ["--model.kind", "als", "--models.als.rank", "2", *GROUPS]
    people = [(f"{country or 'no'}-{age}-{n}", country or None, age) for country, age in TASTES for n in range(3)]
    new_users = [
        ("x-both", "BR", 20),
        ("x-country", "KR", 70),
        ("x-age", "Nowhere", 40),
        ("x-old", "Nowhere", 70),
        ("x-null", None, None),
    ]
    write_profiles(built, [*people, *new_users])
    built.done("train_spark_model", *flags)
    outcome = built.done("build_recommendations", *flags)
    # KR, BR, two ages, and KR of two ages, BR of one: all have three users or more.
    assert outcome.rows["popular_groups"] == 7 and outcome.rows["users_popular"] == 5
    found = lists(built)
    assert {origin for name, rows in found.items() if name.startswith("x-") for _, origin in rows} == {"popular"}
    popular = {name: "".join(item for item, _ in rows) for name, rows in found.items() if name.startswith("x-")}
    assert popular == {"x-both": "ef", "x-country": "ac", "x-age": "cg", "x-old": "ac", "x-null": "ac"}
    before = built.versions()
    built.done("build_recommendations", *flags)
    assert built.versions() == before
    # A user moves to another country and gets its list.
    write_profiles(built, [("x-null", "BR", None)])
    built.done("build_recommendations", *flags)
    assert [item for item, _ in lists(built)["x-null"]] == ["e", "f"]
    built.done("build_recommendations", *flags, "--recommendations.popular_by", "")
    assert {"".join(item for item, _ in rows) for name, rows in lists(built).items() if name[:2] == "x-"} == {"ac"}


def test_counts_unused_for_a_week_are_removed(tmp_path: Path) -> None:
    unused, used = (popular_folder(str(tmp_path), name) for name in ("v1", "v2"))
    (unused / "tile").touch()
    eight_days_ago = time.time() - 8 * 24 * 3600
    for folder in (unused, used):
        os.utime(folder, (eight_days_ago, eight_days_ago))
    assert popular_folder(str(tmp_path), "v2") == used
    popular_folder(str(tmp_path), "v3")
    assert sorted(path.name for path in (tmp_path / "popular").iterdir()) == ["v2", "v3"]


@pytest.mark.slow
def test_too_small_groups_fall_back_to_all_users(built: Workspace) -> None:
    flags = ["--model.kind", "als", "--models.als.rank", "2", "--recommendations.top_k", "2"]
    write_profiles(built, [("x", "KR", 20)])
    built.done("train_spark_model", *flags)
    outcome = built.done("build_recommendations", *flags)
    assert outcome.rows["popular_groups"] == 0
    assert lists(built)["x"] == [("a", "popular"), ("c", "popular")]
