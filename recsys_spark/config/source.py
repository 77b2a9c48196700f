"""Settings of sources of raw files, and the base class of all sections."""

import codecs
import re
from collections.abc import Iterator
from datetime import date
from typing import Literal, get_args
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator

from recsys_spark.config.time_patterns import check_time_pattern
from recsys_spark.core.names import FORMATS

__all__ = ["Columns", "Section", "SourceSettings"]

SourceKind = Literal["events", "totals", "ratings"]
# One printable ASCII character.
ONE_SIGN = "^[!-~]$"
Encoding = Literal["UTF-8", "ISO-8859-1", "windows-1252", "UTF-16", "UTF-16LE", "UTF-16BE"]
# The names of the codecs of Python, which knows the other spellings of an encoding, such as cp1252 and utf8.
ENCODINGS = {codecs.lookup(name).name: name for name in get_args(Encoding)}
TIME_FORMATS = ("auto", "epoch_seconds", "epoch_millis")


class Section(BaseModel):
    """Base class of sections: immutable, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Columns(Section):
    """Raw columns of the fields of `source.format: plays`.

    In JSON and Parquet a name may be a path of names joined by dots; a folder `name=value` is a column too.
    """

    user_id: str = Field("user_id", description="Raw column of the user's id.")
    item_id: str = Field("item_id", description="Raw column of the item's id.")
    item_name: str | None = Field(None, description="Raw column of the item's name.")
    play_count: str | None = Field(None, description="Raw column of the number of plays.")
    rating: str | None = Field(None, description="Raw column of the rating.")
    played_at: str | None = Field(None, description="Raw column of the time of the play.")
    gender: str | None = Field(None, description="Raw column of the user's gender.")
    age: str | None = Field(None, description="Raw column of the user's age.")
    country: str | None = Field(None, description="Raw column of the user's country.")

    def mapped(self) -> dict[str, str]:
        """Return field -> raw column, for the fields that have one."""
        return {field: raw for field, raw in self.model_dump().items() if raw is not None}


class SourceSettings(Section):
    """Section `source`."""

    format: str = Field("sample", description=f"Format of the raw files: {', '.join(FORMATS)}.")
    path: str | None = Field(
        None, description="File, folder or glob of raw files, .gz and .bz2 accepted; unset: the generated sample."
    )
    name: str | None = Field(None, description="Value of plays.source; unset: the format.")
    kind: SourceKind = Field(
        "events",
        description="Meaning of a row of format plays: events (one play each), totals (the total of a user and item; a"
        " later total replaces an earlier one), ratings (the latest counts). Of the totals or ratings"
        " that one file states for the same user, item and time, the largest is kept.",
    )
    columns: Columns = Columns()  # type: ignore[call-arg]
    file_type: Literal["auto", "csv", "json", "parquet"] = Field(
        "auto", description="Type of plays files; auto: from the file name (.tsv means a tab)."
    )
    delimiter: str | None = Field(
        None, min_length=1, max_length=4, description="Field separator of plays files; unset: from the file name."
    )
    header: bool = Field(
        True,
        description="The first line of a CSV file names its columns; false: source.columns.* are positions, from 1 on.",
    )
    quote: str | None = Field(
        '"', pattern=ONE_SIGN, description="Character around CSV fields; null: no quoting, quotes are part of a value."
    )
    escape: str = Field(
        '"', pattern=ONE_SIGN, description="Character before a quote inside a quoted CSV field, often \\ in exports."
    )
    encoding: Encoding = Field(
        "UTF-8", description="Encoding of text files; UTF-16 for CSV alone, each file is then read by one task."
    )
    multi_line: bool = Field(
        False,
        description="Allow line breaks in quoted CSV fields, and JSON files that are one array of rows; each such file"
        " is read by one task.",
    )
    item_lists: bool = Field(
        False,
        description="Read a list of items in a row of JSON or Parquet as one play of each; else it is quarantined.",
    )
    user: str | None = Field(
        None, min_length=1, description="User id of files that hold the plays of one person (format spotify)."
    )
    null_values: tuple[str, ...] = Field(
        ("NULL", "null", "\\N", "NaN", "nan", "None", "<NA>"),
        description="Texts of format plays that mean a missing value, in every field but item_name; case matters.",
    )
    time_format: str = Field(
        "auto",
        description="auto (ISO-8601, or a number of epoch seconds), epoch_seconds, epoch_millis,"
        " or a Spark datetime pattern.",
    )
    untimed: Literal["keep", "refuse"] = Field(
        "keep",
        description="Rows without a time where the format or source.columns.played_at has times: keep (counted, with a"
        " warning) or refuse (quarantined).",
    )
    timezone: str = Field("UTC", description="Time zone of times without one.")
    max_quarantine_share: float = Field(
        0.05, ge=0, le=1, description="Maximum share of quarantined rows; a batch above it is refused."
    )
    max_id_length: int = Field(1024, ge=1, description="Longer ids are quarantined (characters).")
    max_play_count: int = Field(1_000_000_000, ge=1, description="Larger counts are quarantined.")
    min_rating: float | None = Field(None, description="Lower ratings are quarantined; unset: the format's.")
    max_rating: float | None = Field(None, description="Higher ratings are quarantined; unset: the format's.")
    unrated_value: float | None = Field(
        None, description="Rating that means played, not rated, such as 0 or -1; unset: the format's."
    )
    earliest: str = Field(
        "1990-01-01", pattern=r"^\d{4}-\d\d-\d\d$", description="Earlier plays are quarantined (UTC date)."
    )
    latest: str | None = Field(
        None,
        pattern=r"^\d{4}-\d\d-\d\d$",
        description="Plays on or after it are quarantined (UTC date); unset: the day after tomorrow.",
    )
    reprocess: str | None = Field(
        None,
        description="Glob of names or path ends of files to read again; their new rows replace the earlier ones.",
    )

    @field_validator("earliest", "latest")
    @classmethod
    def _is_a_date(cls, value: str | None) -> str | None:
        if value is not None:
            date.fromisoformat(value)
        return value

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("no such time zone; names are like Europe/Paris")
        return value

    @field_validator("encoding", mode="before")
    @classmethod
    def _canonical_encoding(cls, value: object) -> object:
        try:
            return ENCODINGS.get(codecs.lookup(str(value)).name, value)
        except LookupError:
            return value

    @field_validator("time_format")
    @classmethod
    def _parses_times(cls, value: str) -> str:
        if value not in TIME_FORMATS:
            check_time_pattern(value)
        return value

    @property
    def extends_ascii(self) -> bool:
        """Return True for an encoding whose bytes below 128 are ASCII."""
        return not self.encoding.startswith("UTF-16")

    @property
    def is_read_by_line(self) -> bool:
        """Return True if each line of a text file is a record, whatever its quotes."""
        return self.extends_ascii and not (self.multi_line and self.quote is not None)

    def column_problems(self) -> Iterator[str]:
        """Yield the mapped columns that are no positions though the files have no header."""
        if self.format != "plays" or self.header:
            return
        for field, raw in self.columns.mapped().items():
            if not re.fullmatch("[1-9][0-9]*", raw):
                yield f"source.columns.{field}: source.header is false, so set it to a position such as 1, not {raw!r}"

    @property
    def source_name(self) -> str:
        """Return the value of plays.source."""
        return self.name or self.format
