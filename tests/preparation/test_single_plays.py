"""Weights of one play an item, compared with the weights of tables by Spark."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.weighting import Weighting, WeightingSettings
from recsys_spark.preparation.single_plays import single_play_weights
from recsys_spark.preparation.weighting import fit_bm25, with_confidence, write_bm25

PAIRS = [(user, item, 1 + user * item % 3) for user in range(6) for item in range(user + 1)]


@pytest.mark.parametrize("weighting", get_args(Weighting))
def test_the_weights_are_those_of_the_tables(spark: SparkSession, tmp_path: Path, weighting: Weighting) -> None:
    schema = "user_idx INT, item_idx INT, play_count BIGINT"
    statistics = write_bm25(fit_bm25(spark.createDataFrame(PAIRS, schema)), tmp_path)
    settings = WeightingSettings(weighting=weighting, bm25_k1=2.0, bm25_b=0.5)
    # Item 9 has no plays in training.
    items = np.array([1, 4, 9], np.int32)
    history = spark.createDataFrame([(0, int(item), 1) for item in items], schema)
    rows = with_confidence(history, settings, statistics).orderBy("item_idx").collect()
    expected = [np.nan if row["confidence"] is None else row["confidence"] for row in rows]
    found = single_play_weights(settings.model_dump(), items, tmp_path)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
