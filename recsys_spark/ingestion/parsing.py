"""Typed columns from text fields, and the reasons to refuse a row, for all formats.

A row may be refused for several reasons at once; all of them are kept. Ids stay exactly as they are, since they may
differ by a trailing space or by case.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.source import SourceSettings
from recsys_spark.ingestion.fields import (
    id_reason,
    parse_age,
    parse_gender,
    parse_play_count,
    parse_played_at,
    parse_rating,
    text_or_null,
)
from recsys_spark.ingestion.reader import ITEM_FIELDS, PLAY_FIELDS, USER_FIELDS, Reader

__all__ = ["is_refused", "parse_items", "parse_plays", "parse_users", "reasons_of_refused"]

# Enough to find the fault; a broken file may have lines of megabytes.
MAX_RAW_CHARACTERS = 10_000


def parse_plays(rows: DataFrame, reader: Reader, settings: SourceSettings) -> DataFrame:
    """Parse plays into typed columns and `reasons` (STRING, joined by commas; null for a valid row).

    Columns: raw (null for a valid row), reasons, source_file, user_id, item_id, item_name, play_count BIGINT,
    rating DOUBLE, played_at TIMESTAMP, gender, age, country.
    """
    rows = _with_fields(rows, PLAY_FIELDS)
    count = parse_play_count(reader, settings)
    rating = parse_rating(reader, settings)
    time = parse_played_at(reader, settings)
    reasons = _reasons(
        F.col("problem"),
        [
            id_reason("user_id", settings),
            id_reason("item_id", settings),
            count.reason,
            rating.reason,
            time.reason,
        ],
    )
    return _with_reasons(rows, reasons).select(
        "raw",
        "reasons",
        "source_file",
        "user_id",
        "item_id",
        "item_name",
        count.value.alias("play_count"),
        rating.value.alias("rating"),
        time.value.alias("played_at"),
        parse_gender("gender").alias("gender"),
        parse_age("age").alias("age"),
        text_or_null("country").alias("country"),
    )


def parse_users(rows: DataFrame, settings: SourceSettings) -> DataFrame:
    """Parse users into raw, reasons, source_file, user_id, gender, age, country, attributes."""
    reasons = _reasons(F.col("problem"), [id_reason("user_id", settings)])
    return _with_reasons(_with_attributes(_with_fields(rows, USER_FIELDS)), reasons).select(
        "raw",
        "reasons",
        "source_file",
        "user_id",
        parse_gender("gender").alias("gender"),
        parse_age("age").alias("age"),
        text_or_null("country").alias("country"),
        "attributes",
    )


def parse_items(rows: DataFrame, settings: SourceSettings) -> DataFrame:
    """Parse items into raw, reasons, source_file, item_id, name, attributes."""
    reasons = _reasons(F.col("problem"), [id_reason("item_id", settings)])
    return _with_reasons(_with_attributes(_with_fields(rows, ITEM_FIELDS)), reasons).select(
        "raw", "reasons", "source_file", "item_id", text_or_null("name").alias("name"), "attributes"
    )


def is_refused() -> Column:
    """Return True for a parsed row that has reasons."""
    return F.col("reasons").isNotNull()


def reasons_of_refused() -> Column:
    """Return the reasons of a refused row, ARRAY<STRING>."""
    return F.split("reasons", ",").alias("reasons")


def _with_fields(rows: DataFrame, names: tuple[str, ...]) -> DataFrame:
    absent = {name: F.lit(None).cast("string") for name in names if name not in rows.columns}
    return rows.withColumns(absent) if absent else rows


def _with_attributes(rows: DataFrame) -> DataFrame:
    if "attributes" in rows.columns:
        return rows
    return rows.withColumn("attributes", F.lit(None).cast("map<string,string>"))


def _with_reasons(rows: DataFrame, reasons: Column) -> DataFrame:
    refused = F.when(is_refused(), F.left("raw", F.lit(MAX_RAW_CHARACTERS)))
    return rows.withColumn("reasons", reasons).withColumn("raw", refused)


def _reasons(problem: Column, checks: list[Column]) -> Column:
    # The fields of a row that could not be split have no meaning. The result is text, since an array in each of
    # millions of valid rows costs more than their fields.
    return F.nullif(F.coalesce(problem, F.concat_ws(",", *checks)), F.lit(""))
