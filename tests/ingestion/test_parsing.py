"""Parsing of times, with and without a zone."""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.source import SourceSettings
from recsys_spark.ingestion.parsing import parse_plays
from recsys_spark.ingestion.plays import PlaysReader

MIDNIGHT = 1719792000


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        (
            "auto",
            [
                "2024-07-01 00:00:00 UTC",
                "2024-07-01 02:00:00 Europe/Paris",
                "2024-06-30T19:00:00.0-05",
                "2024-07-01T00:00:00Z",
                "2024-07-01T05:30:00+05:30",
                "2024-07-01 09:00:00",
                str(MIDNIGHT),
            ],
        ),
        ("dd.MM.yyyy HH:mm XXX", ["01.07.2024 02:00 +02:00"]),
        ("dd.MM.yyyy 'XX' HH:mm", ["01.07.2024 XX 09:00"]),
    ],
)
def test_a_zone_that_is_stated_counts_and_the_configured_one_does_not(
    spark: SparkSession, pattern: str, written: list[str]
) -> None:
    settings = SourceSettings.model_validate(
        {"format": "plays", "timezone": "Asia/Tokyo", "time_format": pattern, "columns": {"played_at": "at"}}
    )
    fields = "user_id STRING, item_id STRING, played_at STRING, raw STRING, source_file STRING, problem STRING"
    rows = spark.createDataFrame([("u", "i", text, text, "a.csv", None) for text in written], fields)
    parsed = parse_plays(rows, PlaysReader(settings), settings)
    assert [tuple(row) for row in parsed.select(F.unix_seconds("played_at"), "reasons").collect()] == [
        (MIDNIGHT, None)
    ] * len(written)
