"""Identity of plays: equal only where all fields are equal."""

from datetime import UTC, datetime
from functools import reduce
from itertools import product

import pytest
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.ingestion.events import deduplicate, with_key

SCHEMA = (
    "source_file STRING, file_modified_at TIMESTAMP, user_id STRING, item_id STRING, play_count BIGINT, rating DOUBLE,"
    " played_at TIMESTAMP"
)
SOME_DAY, NEXT_DAY = datetime(2025, 7, 1, tzinfo=UTC), datetime(2025, 7, 2, tzinfo=UTC)
# Ids and numbers that are ambiguous when their texts are concatenated.
IDS = ("a", "aa", "1:a", "a1:", "a;", "1", "ä", "a;4294967298")
FIELDS = list(product(("f", "f1"), IDS, IDS, (1, 11), (None, 1.0), (None, SOME_DAY)))


def plays(spark: SparkSession, fields: list[tuple]) -> DataFrame:
    rows = [(file, NEXT_DAY, *others) for file, *others in fields]
    return spark.createDataFrame(rows, SCHEMA)


@pytest.mark.parametrize("times", [1, 2])
def test_statements_that_differ_in_anything_have_ids_of_their_own(spark: SparkSession, times: int) -> None:
    # One reading for each pair of numbers: of several in one file only the largest would be kept.
    readings = [[row for row in FIELDS if row[3:5] == numbers] for numbers in product((1, 11), (None, 1.0))]
    kept = [
        deduplicate(with_key(plays(spark, times * rows), "radio", "totals"), "radio", "totals") for rows in readings
    ]
    ids = reduce(DataFrame.unionByName, kept).select("event_id")
    assert ids.count() == ids.distinct().count() == times * len(FIELDS)


def test_timed_events_of_one_user_item_and_time_are_one_and_untimed_ones_are_all_kept(spark: SparkSession) -> None:
    staged = with_key(plays(spark, FIELDS), "radio", "events")
    kept = [row.asDict() for row in deduplicate(staged, "radio", "events").collect()]
    timed = [row for row in kept if row["played_at"] is not None]
    assert {(row["user_id"], row["item_id"]) for row in timed} == set(product(IDS, IDS))
    assert len(timed) == len(IDS) ** 2 and {row["source_file"] for row in timed} == {"f"}
    assert len(kept) - len(timed) == len(FIELDS) / 2
    assert len({row["event_id"] for row in kept}) == len(kept)


def test_of_different_statements_of_one_file_the_largest_counts(spark: SparkSession) -> None:
    stated = [
        ("f", "u", "i", 1, 1.0, None),
        ("f", "u", "i", 1, 5.0, None),
        ("f", "u", "i", 1, 5.0, None),
        ("f", "u", "i", 1, None, None),
        ("f", "u", "i", 1, 2.0, SOME_DAY),
        ("g", "u", "i", 1, 3.0, None),
        ("f", "u", "j", 1, 4.0, None),
    ]
    kept = deduplicate(with_key(plays(spark, stated), "radio", "ratings"), "radio", "ratings").collect()
    found = sorted((row["source_file"], row["item_id"], row["rating"]) for row in kept)
    assert found == [("f", "i", 2.0), ("f", "i", 5.0), ("f", "i", 5.0), ("f", "j", 4.0), ("g", "i", 3.0)]
    assert len({row["event_id"] for row in kept}) == len(kept)
