"""Identity of plays: equal only where all fields are equal."""

from datetime import UTC, datetime
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
    staged = with_key(plays(spark, times * FIELDS), "radio", "totals")
    kept = deduplicate(staged, "radio", "totals")
    assert kept.count() == kept.select("event_id").distinct().count() == times * len(FIELDS)


def test_timed_events_of_one_user_item_and_time_are_one_and_untimed_ones_are_all_kept(spark: SparkSession) -> None:
    staged = with_key(plays(spark, FIELDS), "radio", "events")
    kept = [row.asDict() for row in deduplicate(staged, "radio", "events").collect()]
    timed = [row for row in kept if row["played_at"] is not None]
    assert {(row["user_id"], row["item_id"]) for row in timed} == set(product(IDS, IDS))
    assert len(timed) == len(IDS) ** 2 and {row["source_file"] for row in timed} == {"f"}
    assert len(kept) - len(timed) == len(FIELDS) / 2
    assert len({row["event_id"] for row in kept}) == len(kept)
