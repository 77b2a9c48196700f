"""Features of attributes and names, with hostile text."""

import math

import pytest
from pyspark.sql import SparkSession

from recsys_spark.preparation.item_features import feature_entries, fit_vocabulary, item_features

Item = tuple[str | None, dict[str, str | None] | None]


def features_of(spark: SparkSession, *items: Item) -> list[list[str]]:
    rows = [(f"{place:02d}", name, attributes) for place, (name, attributes) in enumerate(items)]
    frame = spark.createDataFrame(rows, "item_id STRING, name STRING, attributes MAP<STRING,STRING>")
    return [row["features"] for row in item_features(frame).orderBy("item_id").collect()]


def test_values_are_separated_and_names_split_into_words(spark: SparkSession) -> None:
    assert features_of(spark, ("Toy Story (1995)", {"genres": "Comedy|Animation", "Year": " 1995 "})) == [
        ["genres=animation", "genres=comedy", "year=1995", "~1995", "~story", "~toy"]
    ]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ((None, None), []),
        (("", {}), []),
        ((" \t...!", {"genre": "", "mood": " | ||", "year": None, "": ""}), []),
        (("x" * 1_000_000, {"genre": "y" * 1_000_000, "tag": "a|" + "z" * 100 + "|b="}), ["tag=a", "tag=b="]),
        (("봄날 — ÉTÉ 東京", {"장르": "발라드|Été"}), ["~été", "~東京", "~봄날", "장르=été", "장르=발라드"]),
        (("a=b ~c", {"word": "~c", "x=y": "z"}), ["word=~c", "x=y=z", "~a", "~b", "~c"]),
        (("one\0two\none", {"k": "v\0'; DROP TABLE items"}), ["k=v\0'; drop table items", "~one", "~two"]),
    ],
)
def test_hostile_values(spark: SparkSession, item: Item, expected: list[str]) -> None:
    assert features_of(spark, item) == [sorted(expected)]


def test_long_lists_of_values_are_truncated(spark: SparkSession) -> None:
    (found,) = features_of(spark, (None, {"tags": "|".join(map(str, range(1_000_000)))}))
    assert 1_000 < len(found) < 5_000


def test_the_most_frequent_features_are_numbered_ties_by_text(spark: SparkSession) -> None:
    lists = [["a", "b", "c"], ["a", "c", "b"], ["a", "d"], [], ["d", "e"]]
    frame = spark.createDataFrame([(each,) for each in lists], "features ARRAY<STRING>")
    assert fit_vocabulary(frame, 2, 9) == [("a", 3), ("b", 2), ("c", 2), ("d", 2)]
    assert fit_vocabulary(frame, 1, 2) == [("a", 3), ("b", 2)]
    assert fit_vocabulary(frame, 4, 9) == []


def test_rare_features_weigh_more_and_items_weigh_the_same(spark: SparkSession) -> None:
    rows = [(3, ["a", "b", "unknown"]), (5, ["unknown"]), (7, []), (9, ["b"])]
    frame = spark.createDataFrame(rows, "item_idx INT, features ARRAY<STRING>")
    found = {row[0]: row for row in feature_entries(frame, [("b", 3), ("a", 1)], 4).collect()}
    weights = [math.log(5 / 4) + 1, math.log(5 / 2) + 1]
    assert found.keys() == {3, 9}
    assert found[3]["numbers"] == [0, 1]
    assert found[3]["weights"] == pytest.approx([each / math.hypot(*weights) for each in weights])
    assert (found[9]["numbers"], found[9]["weights"]) == ([0], [1.0])
