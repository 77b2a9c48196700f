"""Settings of sources of raw files, and the base class of all sections."""

from datetime import date
from typing import Literal
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator

from recsys_spark.core.names import FORMATS

__all__ = ["Columns", "Section", "SourceSettings"]

SourceKind = Literal["events", "totals", "ratings"]


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
        None, description="File, folder or glob of raw files, .gz accepted; unset: the generated sample."
    )
    name: str | None = Field(None, description="Value of plays.source; unset: the format.")
    kind: SourceKind = Field(
        "events",
        description="Meaning of a row of format plays: events (one play each), totals (the total of a user and item; a"
        " later total replaces an earlier one), ratings (the latest counts).",
    )
    columns: Columns = Columns()  # type: ignore[call-arg]
    file_type: Literal["auto", "csv", "json", "parquet"] = Field(
        "auto", description="Type of plays files; auto: from the file name (.tsv means a tab)."
    )
    delimiter: str | None = Field(
        None, min_length=1, max_length=4, description="Field separator of plays files; unset: from the file name."
    )
    encoding: Literal["UTF-8", "ISO-8859-1"] = Field("UTF-8", description="Encoding of plays files.")
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
    time_format: str = Field(
        "auto",
        description="auto (ISO-8601, or a number of epoch seconds), epoch_seconds, epoch_millis,"
        " or a Spark datetime pattern.",
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

    @property
    def source_name(self) -> str:
        """Return the value of plays.source."""
        return self.name or self.format
