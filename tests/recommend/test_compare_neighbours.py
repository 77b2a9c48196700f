"""Neighbours of several models: measures by brute force, random lists, and the job's output."""

from datetime import UTC, datetime, timedelta
from itertools import combinations
from statistics import mean
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.recommend.neighbour_lists import agreement, item_values, neighbour_lists, overlaps, random_lists
from recsys_spark.storage.schemas import TABLES
from tests.conftest import Workspace

LISTS = "model STRING, item_id STRING, neighbours ARRAY<STRING>"
ALS, LSA, OTHER = "als-00000000000a", "lsa-00000000000b", "lsa-00000000000c"
GENRES = {"a": "Drama|War", "b": "War", "c": "Comedy| Drama", "d": " | ", "e": "Comedy", "f": "Film-Noir"}


def as_lists(spark: SparkSession, lists: dict[tuple[str, str], str]) -> DataFrame:
    """Convert {(model, item): neighbours, a letter each} to rows."""
    return spark.createDataFrame([(*key, list(letters)) for key, letters in lists.items()], LISTS)


def items_of(spark: SparkSession, genres: dict[str, str]) -> DataFrame:
    """Return an item for each letter; `g` has no attributes, `h` others."""
    rows = [(item, f"Item {item}", {"genres": text}) for item, text in genres.items()]
    return spark.createDataFrame(
        [*rows, ("g", "Item g", None), ("h", None, {"year": "1990"})],
        "item_id STRING, name STRING, attributes MAP<STRING,STRING>",
    )


def test_lists_are_cut_and_ordered_for_any_order_of_rows(spark: SparkSession) -> None:
    rows = [(ALS, "als", "a", position, other, 0.5) for position, other in ((3, "d"), (1, "c"), (2, "b"))]
    similarity = spark.createDataFrame(rows, TABLES["item_similarity"].schema)
    for k, expected in ((2, ["c", "b"]), (9, ["c", "b", "d"])):
        assert [tuple(row) for row in neighbour_lists(similarity, k).collect()] == [(ALS, "a", expected)]


def test_the_overlap_is_a_share_of_the_longer_list(spark: SparkSession) -> None:
    """Positions do not count; items that only one model has a list of are not compared."""
    lists = as_lists(spark, {("y", "a"): "bcde", ("x", "a"): "ecxy", ("z", "a"): "b", ("x", "b"): "a", ("z", "c"): "a"})
    found = {(row["item_id"], row["first"], row["second"]): row["overlap"] for row in overlaps(lists).collect()}
    assert found == {("a", "x", "y"): 0.5, ("a", "y", "z"): 0.25, ("a", "x", "z"): 0.0}


def test_overlaps_of_many_lists_are_those_of_sets(spark: SparkSession) -> None:
    rng = np.random.default_rng(0)
    lists = {(m, str(i)): [str(n) for n in rng.permutation(20)[:6]] for m in "xyz" for i in range(15)}
    frame = spark.createDataFrame([(*key, near) for key, near in lists.items()], LISTS)
    found = {(row["item_id"], row["first"], row["second"]): row["overlap"] for row in overlaps(frame).collect()}
    expected = {
        (str(i), m, n): len(set(lists[m, str(i)]) & set(lists[n, str(i)])) / 6
        for m, n in combinations("xyz", 2)
        for i in range(15)
    }
    assert found == pytest.approx(expected) and len(set(found.values())) > 3


def test_values_of_items(spark: SparkSession) -> None:
    found = {row["item_id"]: row["values"] for row in item_values(items_of(spark, GENRES), "genres").collect()}
    assert found == {"a": ["Drama", "War"], "b": ["War"], "c": ["Comedy", "Drama"], "e": ["Comedy"], "f": ["Film-Noir"]}
    assert item_values(items_of(spark, GENRES), "mood").isEmpty()


def test_agreement_is_the_mean_over_items_of_the_share_of_neighbours(spark: SparkSession) -> None:
    """With a, 2 of 5 neighbours share a value: d, g and a missing item have none. With c, 2 of 3: e and a."""
    lists = as_lists(spark, {("x", "a"): "bcdg?", ("x", "c"): "eab", ("x", "e"): "c", ("x", "d"): "a", ("y", "a"): "f"})
    measured = spark.createDataFrame([(item,) for item in "acdg"], "item_id STRING")
    found = agreement(lists, measured, item_values(items_of(spark, GENRES), "genres")).collect()
    assert {row["model"]: (row["agreement"], row["items"]) for row in found} == {
        "x": (pytest.approx((2 / 5 + 2 / 3) / 2), 2),
        "y": (0.0, 1),
    }


def test_random_neighbours_are_other_items_and_equal_for_equal_seeds(spark: SparkSession) -> None:
    ids = [f"i{number}" for number in range(40)]
    frame = spark.createDataFrame([(item,) for item in ids], "item_id STRING")

    def drawn(source: DataFrame, k: int, seed: int) -> dict[str, set[str]]:
        rows = random_lists(source, k, seed).collect()
        assert {row["model"] for row in rows} == {"random"}
        assert all(len(set(row["neighbours"])) == len(row["neighbours"]) for row in rows)
        return {row["item_id"]: set(row["neighbours"]) for row in rows}

    first = drawn(frame, 7, 1)
    assert first.keys() == set(ids)
    assert all(len(near) == 7 and item not in near and near < set(ids) for item, near in first.items())
    assert drawn(frame.repartition(5), 7, 1) == first
    assert drawn(frame, 7, 2) != first
    assert all(near == set(ids) - {item} for item, near in drawn(frame, 100, 1).items())
    assert random_lists(frame.limit(1), 3, 1).isEmpty()


def test_agreement_of_random_lists_is_the_share_of_the_class(spark: SparkSession) -> None:
    """Three classes have a half, three tenths and a fifth of 900 items."""
    sizes = {"x": 450, "y": 270, "z": 180}
    classes = [name for name, size in sizes.items() for _ in range(size)]
    items = spark.createDataFrame(
        [(f"i{n}", {"class": name}) for n, name in enumerate(classes)], "item_id STRING, attributes MAP<STRING,STRING>"
    )
    ids = items.select("item_id")
    (found,) = agreement(random_lists(ids, 10, 42), ids, item_values(items, "class")).collect()
    expected = mean((sizes[name] - 1) / 899 for name in classes)
    assert found["items"] == 900 and found["agreement"] == pytest.approx(expected, abs=0.02)


@pytest.fixture
def shop(workspace: Workspace) -> Workspace:
    """Write six items and three models.

    Lists of ALS follow the genres, those of the older LSA do not, and the newer LSA has none.
    """
    tables, spark = workspace.tables(), workspace.spark
    for number, version in enumerate((ALS, LSA, OTHER)):
        now = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=number)
        row: tuple[Any, ...] = (version, version[:3], now, "{}", "{}", None, None, {}, None, "", [], None, None, None)
        tables.append("models", spark.createDataFrame([row], TABLES["models"].schema))
    near = {(ALS, "a"): "bc", (ALS, "b"): "ac", (ALS, "c"): "ea", (LSA, "a"): "bf", (LSA, "b"): "ef", (LSA, "c"): "fd"}
    rows = [
        (version, version[:3], item, place, other, 1.0 / place)
        for (version, item), letters in near.items()
        for place, other in enumerate(letters, start=1)
    ]
    tables.append("item_similarity", spark.createDataFrame(rows, TABLES["item_similarity"].schema))
    now = datetime(2025, 1, 1, tzinfo=UTC)
    items = [(item, f"Item {item}", {"genres": text}, now) for item, text in GENRES.items()]
    tables.append("items", spark.createDataFrame(items, TABLES["items"].schema))
    index = [(item, number) for number, item in enumerate(GENRES)]
    tables.append("item_index", spark.createDataFrame(index, TABLES["item_index"].schema))
    # Item a has 9 users, b 8, and so on.
    plays = [(user, item, 1, None, None) for item in range(len(GENRES)) for user in range(9 - item)]
    tables.append("interactions", spark.createDataFrame(plays, TABLES["interactions"].schema))
    return workspace


FLAGS = ("--compare.models", f"als,{LSA}", "--compare.k", 2)


def test_job_prints_lists_side_by_side_and_measures(shop: Workspace) -> None:
    outcome = shop.done("compare_neighbours", *FLAGS, "--compare.min_users", 8)
    assert outcome.rows == {"models": 2, "items_shown": 6, "items_compared": 3, "items_judged": 2}
    lines = [[cell.strip() for cell in line.split("│")] for line in outcome.stdout.splitlines()]
    first = next(number for number, cells in enumerate(lines) if "Item a" in cells[1:2])
    assert lines[first][1:-1] == ["Item a", "9", "Item b", "Item b", "50%"]
    assert lines[first + 1][1:-1] == ["", "", "Item c", "Item f", ""]
    names = [cells[1] for cells in lines if len(cells) > 5 and cells[1].startswith("Item")]
    assert names == [f"Item {item}" for item in "abcdef"], "most played first"
    assert [ALS, LSA, f"{(1 / 2 + 0 + 0) / 3:.4f}", "3"] in [cells[1:-1] for cells in lines]
    # Items a and b have 8 users or more. For ALS, b and c share a value with a, and a with b; for LSA only b with a.
    assert [ALS, f"{(1 + 1 / 2) / 2:.4f}", "2"] in [cells[1:-1] for cells in lines]
    assert [LSA, f"{(1 / 2 + 0) / 2:.4f}", "2"] in [cells[1:-1] for cells in lines]
    assert any(cells[1:2] == ["random"] for cells in lines)
    assert outcome.summary["outputs"].keys() <= {"job_runs"}


@pytest.mark.slow
def test_named_items_are_shown_instead(shop: Workspace) -> None:
    outcome = shop.done("compare_neighbours", *FLAGS, "--items", "item  C", "no such item")
    assert outcome.rows["items_shown"] == 1 and outcome.rows["items_compared"] == 3
    assert "Item c" in outcome.stdout and "Item b" not in outcome.stdout
    assert "no such item" in outcome.stderr
    assert shop.run("compare_neighbours", *FLAGS, "--items", "no such item").code == 4


def test_without_the_attribute_overlap_remains(shop: Workspace) -> None:
    outcome = shop.done("compare_neighbours", *FLAGS, "--compare.attribute", "mood")
    assert outcome.rows == {"models": 2, "items_shown": 6, "items_compared": 3, "items_judged": 0}
    assert "agreement@" not in outcome.stdout and "'mood'" in outcome.stderr


@pytest.mark.parametrize(
    ("models", "k", "code", "message"),
    [
        ("als,lsa", 2, 4, f"run build_item_similarity --model.version {OTHER} first"),
        ("als,ease", 2, 4, "train_spark_model --model.kind ease"),
        (f"als,{ALS}", 2, 2, "is one model"),
        ("als,lda", 2, 2, "'lda' is not a kind"),
        (f"als,{LSA}", 3, 0, ""),
    ],
)
def test_models_that_cannot_be_compared_are_refused(
    shop: Workspace, models: str, k: int, code: int, message: str
) -> None:
    """Each of three items has two others, so lists have at most two items."""
    outcome = shop.run("compare_neighbours", "--compare.models", models, "--compare.k", k)
    assert outcome.code == code and message in outcome.stderr


def test_shorter_lists_are_refused(shop: Workspace) -> None:
    """A fourth item in LSA's lists makes three neighbours possible, but lists have two."""
    more = [(LSA, "lsa", "d", place, other, 0.5) for place, other in enumerate("ab", start=1)]
    shop.tables().append("item_similarity", shop.spark.createDataFrame(more, TABLES["item_similarity"].schema))
    outcome = shop.run("compare_neighbours", "--compare.models", f"als,{LSA}", "--compare.k", 3)
    assert outcome.code == 2 and "--similarity.neighbours 3" in outcome.stderr and LSA in outcome.stderr
