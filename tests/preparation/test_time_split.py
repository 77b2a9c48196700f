"""Splits by calendar time: no plays after the cut in training, also of pairs played before it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.split import SplitSettings
from recsys_spark.core.errors import ConfigError
from recsys_spark.preparation.splits import build_split
from recsys_spark.preparation.time_split import IndexedPlays

START = datetime(2024, 1, 1, tzinfo=UTC)
PLAYS = (
    "user_id STRING, item_id STRING, play_count BIGINT, rating DOUBLE, played_at TIMESTAMP, source STRING,"
    " source_file STRING, kind STRING, file_modified_at TIMESTAMP"
)
Play = tuple[str, str, int, float | None, datetime | None, str]
Pair = tuple[str, int, int, int, float | None]


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def event(user: int, item: int, at: datetime | None, count: int = 1, rating: float | None = None) -> Play:
    return (f"u{user}", f"i{item}", count, rating, at, "events")


def split(spark: SparkSession, plays: list[Play], **settings: Any) -> set[Pair]:
    """Return part, user_idx, item_idx, play_count, rating; ids end with the index."""
    rows = [(*play[:5], "s", "f", play[5], START) for play in plays]
    users, items = {play[0] for play in plays}, {play[1] for play in plays}
    indexed = IndexedPlays(
        spark.createDataFrame(rows, PLAYS).repartition(3),
        spark.createDataFrame([(u, int(u[1:])) for u in sorted(users)], "user_id STRING, user_idx INT"),
        spark.createDataFrame([(i, int(i[1:])) for i in sorted(items)], "item_id STRING, item_idx INT"),
    )
    time_settings = SplitSettings.model_validate({"protocol": "time", **settings})
    parted = build_split(spark.createDataFrame([], "user_idx INT"), time_settings, 1, indexed)
    return {(r["part"], r["user_idx"], r["item_idx"], r["play_count"], r["rating"]) for r in parted.collect()}


CUT = {"test_from": day(20), "validation_share": 0.0}


def test_a_pair_played_before_and_after_the_cut_is_trained_on_with_what_was_before(spark: SparkSession) -> None:
    plays = [event(1, 1, day(1)), event(1, 1, day(2), 4), event(1, 1, day(25), 100), event(1, 2, day(26), 7)]
    assert split(spark, plays, **CUT) == {("train", 1, 1, 5, None), ("test", 1, 2, 7, None)}


def test_the_cut_itself_belongs_to_the_test_and_untimed_plays_to_nothing(spark: SparkSession) -> None:
    plays = [event(1, 1, day(19.9)), event(1, 2, day(20)), event(1, 3, None)]
    assert split(spark, plays, **CUT) == {("train", 1, 1, 1, None), ("test", 1, 2, 1, None)}


def test_totals_and_ratings_are_the_latest_of_each_part(spark: SparkSession) -> None:
    plays: list[Play] = [
        ("u1", "i1", 10, None, day(1), "totals"),
        ("u1", "i1", 50, None, day(30), "totals"),
        ("u1", "i2", 1, 2.0, day(1), "ratings"),
        ("u1", "i2", 1, 5.0, day(30), "ratings"),
        ("u1", "i3", 1, 5.0, day(30), "ratings"),
    ]
    assert split(spark, plays, **CUT) == {
        ("train", 1, 1, 10, None),
        ("train", 1, 2, 1, 2.0),
        ("test", 1, 3, 1, 5.0),
    }
    # A pair that training leaves out for its low rating was still played before: it is no target.
    rated = [play for play in plays if play[5] == "ratings"]
    rated.append(("u1", "i4", 1, 4.0, day(2), "ratings"))
    assert split(spark, rated, min_rating=4, **CUT) == {("train", 1, 4, 1, 4.0), ("test", 1, 3, 1, 5.0)}


def test_support_is_counted_before_the_cut_and_new_users_stay_in_the_test(spark: SparkSession) -> None:
    plays = [event(u, i, day(1)) for u in (1, 2) for i in (1, 2)]
    plays += [event(3, 1, day(1)), event(3, 3, day(25)), event(4, 4, day(25))]
    parts = split(spark, plays, min_user_items=2, **CUT)
    assert {(part, user) for part, user, *_ in parts} == {("train", 1), ("train", 2), ("test", 3), ("test", 4)}


def test_shares_cut_by_time_and_partitions_change_nothing(spark: SparkSession) -> None:
    generator = np.random.default_rng(1)
    plays = [event(int(u), int(i), day(float(d))) for u, i, d in generator.uniform(0, 40, (2000, 3))]
    parts = split(spark, plays, test_share=0.2, validation_share=0.1)
    assert parts == split(spark, plays[::-1], test_share=0.2, validation_share=0.1)
    moments: dict[tuple[int, int], float] = {}
    for user, item, _, _, at, _ in plays:
        pair = (int(user[1:]), int(item[1:]))
        assert at is not None
        moments[pair] = min(moments.get(pair, 1e9), (at - START) / timedelta(days=1))
    first = {part: [moments[p[1], p[2]] for p in parts if p[0] == part] for part in ("train", "validation", "test")}
    assert max(first["train"]) < min(first["validation"]) and max(first["validation"]) < min(first["test"])
    assert 31 < min(first["test"]) < 33 and 27 < min(first["validation"]) < 29
    assert len(parts) == len(moments), "every pair is in one part"


def test_times_must_be_known_and_lie_before_the_cut(spark: SparkSession) -> None:
    with pytest.raises(ConfigError, match="no plays have a time"):
        split(spark, [event(1, 1, None)])
    with pytest.raises(ConfigError, match="no pairs before the cut by time are left"):
        split(spark, [event(1, 1, day(30))], **CUT)
    with pytest.raises(ConfigError, match="no pairs before the cut by time are left"):
        split(spark, [event(1, 1, day(1), rating=2.0)], min_rating=4, **CUT)
