"""Typed fields from text, with the reason for each invalid one."""

import re
from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

from recsys_spark.config.source import SourceSettings
from recsys_spark.ingestion.reader import Reader

__all__ = [
    "ParsedField",
    "id_reason",
    "parse_age",
    "parse_gender",
    "parse_play_count",
    "parse_played_at",
    "parse_rating",
    "text_or_null",
]

NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
GENDERS = {
    "f": ("f", "female", "w", "woman", "women", "girl", "femme", "weiblich", "femenino", "女"),
    "m": ("m", "male", "man", "men", "boy", "homme", "männlich", "masculino", "男"),
}
NO_GENDER = ("", "null", "none", "n/a", "na", "unknown", "-", "?")
MAX_AGE = 120
# Z, UTC, Europe/Paris, GMT+9; an offset of hours and minutes, or of hours alone behind seconds.
ZONE_SUFFIX = r"([A-Za-z]([+-]\d\d?)?|[+-]\d\d?:?\d\d|:\d\d(\.\d+)?[+-]\d\d?)\s*$"
# Letters of Spark's datetime patterns that stand for a zone.
ZONE_LETTERS = "VzOXxZ"


@dataclass(frozen=True)
class ParsedField:
    """Typed value of a field and, where the text is invalid, the reason."""

    value: Column
    reason: Column


def id_reason(column: str, settings: SourceSettings) -> Column:
    """Return the reason to refuse an id that is blank or too long, else null."""
    value, limit = F.col(column), settings.max_id_length
    # The number of octets is stored; characters, which are at most as many, are counted only where needed.
    too_long = (F.octet_length(value) > limit) & (F.length(value) > limit)
    return F.when(value.isNull() | (F.trim(value) == ""), F.lit(f"missing_{column}")).when(
        too_long, F.lit(f"{column}_too_long")
    )


def parse_play_count(reader: Reader, settings: SourceSettings) -> ParsedField:
    """Parse totals as whole numbers above 0; return 1 where each row is one play."""
    if reader.kind != "totals":
        return ParsedField(F.lit(1).cast("bigint"), F.lit(None).cast("string"))
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
    return ParsedField(F.coalesce(whole, F.when(reason.isNull(), number.cast("bigint"))), reason)


def parse_rating(reader: Reader, settings: SourceSettings) -> ParsedField:
    """Parse ratings within the range of the settings or of the format.

    The value that means "not rated" becomes null, and the row stays valid.
    """
    text = F.col("rating")
    number = F.when(text.rlike(NUMBER), text.try_cast("double"))
    lowest, highest = reader.rating_range or (None, None)
    lowest = settings.min_rating if settings.min_rating is not None else lowest
    highest = settings.max_rating if settings.max_rating is not None else highest
    blank = text.isNull() | (F.trim(text) == "")
    none = settings.unrated_value if settings.unrated_value is not None else reader.unrated_value
    unrated = F.lit(False) if none is None else F.coalesce(number == none, F.lit(False))
    reason = F.when(unrated, F.lit(None).cast("string"))
    if reader.kind == "ratings":
        reason = reason.when(blank, F.lit("missing_rating"))
    reason = reason.when(~blank & number.isNull(), F.lit("rating_not_a_number"))
    if lowest is not None:
        reason = reason.when(number < lowest, F.lit("rating_out_of_range"))
    if highest is not None:
        reason = reason.when(number > highest, F.lit("rating_out_of_range"))
    return ParsedField(F.when(~unrated, number), reason)


def parse_played_at(reader: Reader, settings: SourceSettings) -> ParsedField:
    """Parse times between source.earliest and source.latest (default: two days from today)."""
    text = F.col("played_at")
    time = _time(text, settings)
    earliest = F.lit(settings.earliest).cast("timestamp")
    latest = (
        F.lit(settings.latest).cast("timestamp")
        if settings.latest is not None
        else F.date_add(F.current_date(), 2).cast("timestamp")
    )
    if_missing = "missing_played_at" if reader.timed and settings.untimed == "refuse" else None
    reason = (
        F.when(text.isNull() | (F.trim(text) == ""), F.lit(if_missing).cast("string"))
        .when(time.isNull(), F.lit("played_at_not_a_time"))
        .when((time < earliest) | (time >= latest), F.lit("played_at_out_of_range"))
    )
    return ParsedField(time, reason)


def _time(text: Column, settings: SourceSettings) -> Column:
    """Return the time in UTC.

    The session's time zone is UTC while jobs run; times without a zone are shifted from source.timezone.
    """
    seconds = text.try_cast("decimal(20,6)")
    # TIMESTAMP ends with the year 9999.
    in_range = F.abs(seconds) < 253_402_300_800
    epoch = F.when(in_range, F.timestamp_seconds(seconds))
    if settings.time_format == "epoch_seconds":
        return epoch
    if settings.time_format == "epoch_millis":
        micros = (text.try_cast("decimal(24,6)") * 1000).try_cast("bigint")
        return F.when(F.abs(micros) < 253_402_300_800_000_000, F.timestamp_micros(micros))
    if settings.time_format == "auto":
        parsed = text.try_cast("timestamp")
        states_zone = text.rlike(ZONE_SUFFIX)
        # A cast would read a number as a year.
        return F.when(seconds.isNotNull(), epoch).otherwise(_shifted(parsed, states_zone, settings))
    # Quoted parts of a pattern are literal text.
    pattern = re.sub("'[^']*'", "", settings.time_format)
    has_zone = any(letter in pattern for letter in ZONE_LETTERS)
    return _shifted(F.try_to_timestamp(text, F.lit(settings.time_format)), F.lit(has_zone), settings)


def _shifted(time: Column, states_zone: Column, settings: SourceSettings) -> Column:
    if settings.timezone == "UTC":
        return time
    return F.when(states_zone, time).otherwise(F.to_utc_timestamp(time, settings.timezone))


def parse_gender(column: str) -> Column:
    """Return f or m for their synonyms, null for a missing gender.

    Other values are returned in lower case.
    """
    text = F.lower(F.trim(column))
    gender_column = F.when(text.isin(*NO_GENDER), F.lit(None).cast("string"))
    for gender, synonyms in GENDERS.items():
        gender_column = gender_column.when(text.isin(*synonyms), F.lit(gender))
    return gender_column.otherwise(text)


def parse_age(column: str) -> Column:
    """Return whole years; an impossible age is null, and the row stays valid."""
    # A column of ages with a missing one is often written as 25.0.
    number = F.trim(column).try_cast("decimal(20,6)")
    return F.when(number.between(1, MAX_AGE) & (number == F.floor(number)), number.cast("int"))


def text_or_null(column: str) -> Column:
    """Return the text, or null where it is blank."""
    return F.when(F.trim(column) != "", F.col(column))
