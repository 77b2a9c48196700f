"""Popularity by users and by plays, on a small example."""

from typing import Literal

import pytest
from pyspark.sql import SparkSession

from recsys_spark.models.popularity import popularity_scores
from recsys_spark.models.settings.popularity import PopularitySettings


@pytest.mark.parametrize(("count", "expected"), [("users", {1: 2.0, 2: 1.0}), ("plays", {1: 5.0, 2: 40.0})])
def test_scores(spark: SparkSession, count: Literal["users", "plays"], expected: dict[int, float]) -> None:
    rows = [(0, 1, 2), (1, 1, 3), (1, 2, 40)]
    interactions = spark.createDataFrame(rows, "user_idx INT, item_idx INT, play_count BIGINT")
    scores = popularity_scores(interactions, PopularitySettings(count=count))
    assert scores.dtypes == [("item_idx", "int"), ("score", "double")]
    assert {row["item_idx"]: row["score"] for row in scores.collect()} == expected
