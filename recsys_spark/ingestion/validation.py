"""From text fields to typed columns, and the reasons for which a row is refused. One set of rules for all formats.

A row may be refused for several reasons at once; all of them are kept. Ids are never trimmed or folded:
they may differ by a trailing space or by case.
"""

import re
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.source import SourceSettings
from recsys_spark.ingestion.reader import ITEM_FIELDS, PLAY_FIELDS, USER_FIELDS, Reader

__all__ = [
    "MAX_RAW_CHARACTERS",
    "gender_of",
    "is_refused",
    "parse_items",
    "parse_plays",
    "parse_users",
    "reasons_of_refused",
]

# Enough to see what was wrong; a broken file may hold lines of megabytes.
MAX_RAW_CHARACTERS = 10_000
NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
GENDERS = {
    "f": ("f", "female", "w", "woman", "women", "girl", "femme", "weiblich", "femenino", "女"),
    "m": ("m", "male", "man", "men", "boy", "homme", "männlich", "masculino", "男"),
}
NO_GENDER = ("", "null", "none", "n/a", "na", "unknown", "-", "?")
MAX_AGE = 120
# Z, UTC, Europe/Paris, GMT+9; an offset of hours and minutes, or of hours alone behind seconds.
ZONE_AT_THE_END = r"([A-Za-z]([+-]\d\d?)?|[+-]\d\d?:?\d\d|:\d\d(\.\d+)?[+-]\d\d?)\s*$"
# Of Spark's datetime patterns.
ZONE_LETTERS = "VzOXxZ"


@dataclass(frozen=True)
class _Checked:
    """A typed value and, where the text cannot be one, the reason."""

    value: Column
    reason: Column


def parse_plays(rows: DataFrame, reader: Reader, settings: SourceSettings) -> DataFrame:
    """Typed plays with `reasons` (STRING, joined by commas; null for a valid row).

    Columns: raw (null for a valid row), reasons, source_file, user_id, item_id, item_name, play_count BIGINT,
    rating DOUBLE, played_at TIMESTAMP, gender, age, country.
    """
    rows = _with_fields(rows, PLAY_FIELDS)
    count = _play_count(reader, settings)
    rating = _rating(rows, reader, settings)
    time = _played_at(settings)
    reasons = _reasons(
        F.col("problem"),
        [
            _id_reason("user_id", settings),
            _id_reason("item_id", settings),
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
        gender_of("gender").alias("gender"),
        _age("age").alias("age"),
        _text("country").alias("country"),
    )


def parse_users(rows: DataFrame, settings: SourceSettings) -> DataFrame:
    """Typed user rows: raw, reasons, source_file, user_id, gender, age, country, attributes."""
    reasons = _reasons(F.col("problem"), [_id_reason("user_id", settings)])
    return _with_reasons(_with_attributes(_with_fields(rows, USER_FIELDS)), reasons).select(
        "raw",
        "reasons",
        "source_file",
        "user_id",
        gender_of("gender").alias("gender"),
        _age("age").alias("age"),
        _text("country").alias("country"),
        "attributes",
    )


def parse_items(rows: DataFrame, settings: SourceSettings) -> DataFrame:
    """Typed item rows: raw, reasons, source_file, item_id, name, attributes."""
    reasons = _reasons(F.col("problem"), [_id_reason("item_id", settings)])
    return _with_reasons(_with_attributes(_with_fields(rows, ITEM_FIELDS)), reasons).select(
        "raw", "reasons", "source_file", "item_id", _text("name").alias("name"), "attributes"
    )


def is_refused() -> Column:
    """Whether a parsed row has reasons."""
    return F.col("reasons").isNotNull()


def reasons_of_refused() -> Column:
    """The reasons of a refused row, ARRAY<STRING>."""
    return F.split("reasons", ",").alias("reasons")


def gender_of(column: str) -> Column:
    """Known synonyms as f or m, other values lower-cased and kept, nothing said as null."""
    text = F.lower(F.trim(column))
    known = F.when(text.isin(*NO_GENDER), F.lit(None).cast("string"))
    for gender, synonyms in GENDERS.items():
        known = known.when(text.isin(*synonyms), F.lit(gender))
    return known.otherwise(text)


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
    # Once a row could not be cut into fields, what its fields look like means nothing. As text, since an array in each
    # of millions of valid rows costs more than their fields.
    return F.nullif(F.coalesce(problem, F.concat_ws(",", *checks)), F.lit(""))


def _id_reason(column: str, settings: SourceSettings) -> Column:
    value, limit = F.col(column), settings.max_id_length
    # Octets are known; characters, which are never more, are counted only where they may be too many.
    too_long = (F.octet_length(value) > limit) & (F.length(value) > limit)
    return F.when(value.isNull() | (F.trim(value) == ""), F.lit(f"missing_{column}")).when(
        too_long, F.lit(f"{column}_too_long")
    )


def _play_count(reader: Reader, settings: SourceSettings) -> _Checked:
    if reader.kind != "totals":
        return _Checked(F.lit(1).cast("bigint"), F.lit(None).cast("string"))
    text = F.col("play_count")
    whole = text.try_cast("bigint")
    number = F.coalesce(whole.cast("double"), F.when(text.rlike(NUMBER), text.try_cast("double")))
    reason = (
        F.when(text.isNull() | (F.trim(text) == ""), F.lit("missing_play_count"))
        .when(number.isNull(), F.lit("play_count_not_a_number"))
        .when(number < 0, F.lit("play_count_negative"))
        .when(number == 0, F.lit("play_count_zero"))
        .when(number > settings.max_play_count, F.lit("play_count_too_large"))
        .when(number != F.floor(number), F.lit("play_count_fractional"))
    )
    return _Checked(F.coalesce(whole, F.when(reason.isNull(), number.cast("bigint"))), reason)


def _rating(rows: DataFrame, reader: Reader, settings: SourceSettings) -> _Checked:
    text = F.col("rating")
    number = F.when(text.rlike(NUMBER), text.try_cast("double"))
    lowest, highest = reader.rating_range or (None, None)
    lowest = settings.min_rating if settings.min_rating is not None else lowest
    highest = settings.max_rating if settings.max_rating is not None else highest
    blank = text.isNull() | (F.trim(text) == "")
    unrated = F.col("unrated") if "unrated" in rows.columns else F.lit(False)
    reason = F.when(unrated, F.lit(None).cast("string"))
    if reader.kind == "ratings":
        reason = reason.when(blank, F.lit("missing_rating"))
    reason = reason.when(~blank & number.isNull(), F.lit("rating_not_a_number"))
    if lowest is not None:
        reason = reason.when(number < lowest, F.lit("rating_out_of_range"))
    if highest is not None:
        reason = reason.when(number > highest, F.lit("rating_out_of_range"))
    return _Checked(F.when(~unrated, number), reason)


def _played_at(settings: SourceSettings) -> _Checked:
    text = F.col("played_at")
    time = _time(text, settings)
    earliest = F.lit(settings.earliest).cast("timestamp")
    latest = (
        F.lit(settings.latest).cast("timestamp")
        if settings.latest is not None
        else F.date_add(F.current_date(), 2).cast("timestamp")
    )
    reason = (
        F.when(text.isNull() | (F.trim(text) == ""), F.lit(None).cast("string"))
        .when(time.isNull(), F.lit("played_at_not_a_time"))
        .when((time < earliest) | (time >= latest), F.lit("played_at_out_of_range"))
    )
    return _Checked(time, reason)


def _time(text: Column, settings: SourceSettings) -> Column:
    """UTC; the session's time zone is UTC while jobs run, so times that state no zone are shifted from theirs."""
    seconds = text.try_cast("decimal(20,6)")
    # Past the year 9999 a number of seconds is no time that anything can hold.
    in_range = F.abs(seconds) < 253_402_300_800
    epoch = F.when(in_range, F.timestamp_seconds(seconds))
    if settings.time_format == "epoch_seconds":
        return epoch
    if settings.time_format == "epoch_millis":
        return F.when(F.abs(seconds) < 253_402_300_800_000, F.timestamp_millis(text.try_cast("bigint")))
    if settings.time_format == "auto":
        written = text.try_cast("timestamp")
        states_zone = text.rlike(ZONE_AT_THE_END)
        # A bare number would also pass for a year.
        return F.when(seconds.isNotNull(), epoch).otherwise(_shifted(written, states_zone, settings))
    # What is quoted in a pattern is text.
    pattern = re.sub("'[^']*'", "", settings.time_format)
    has_zone = any(letter in pattern for letter in ZONE_LETTERS)
    return _shifted(F.try_to_timestamp(text, F.lit(settings.time_format)), F.lit(has_zone), settings)


def _shifted(time: Column, states_zone: Column, settings: SourceSettings) -> Column:
    if settings.timezone == "UTC":
        return time
    return F.when(states_zone, time).otherwise(F.to_utc_timestamp(time, settings.timezone))


def _age(column: str) -> Column:
    """Whole years; an age that nobody has is no reason to lose the row."""
    age = F.trim(column).try_cast("int")
    return F.when(age.between(1, MAX_AGE), age)


def _text(column: str) -> Column:
    return F.when(F.trim(column) != "", F.col(column))
