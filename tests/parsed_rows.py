"""Plays of raw files as the readers and the parser make them, without tables."""

from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.source import SourceSettings
from recsys_spark.ingestion.discovery import list_files
from recsys_spark.ingestion.parsing import parse_items, parse_plays, parse_users
from recsys_spark.ingestion.reader import Reader, Role, load_reader

__all__ = ["check", "parsed", "play_rows"]


def parsed(spark: SparkSession, folder: Path, role: Role, **settings: Any) -> DataFrame:
    """Return the parsed rows of a role of all files below a folder."""
    reader, options = _reader(settings)
    files = [file for file in list_files(spark, str(folder)) if reader.role(file) == role]
    if role == "plays":
        return parse_plays(reader.plays(spark, files), reader, options)
    return (
        parse_users(reader.users(spark, files), options)
        if role == "users"
        else parse_items(reader.items(spark, files), options)
    )


def play_rows(spark: SparkSession, folder: Path, *fields: str, **settings: Any) -> list[tuple[Any, ...]]:
    """Return user_id, item_id, the named fields and the reasons of all plays, sorted; times as epoch seconds."""
    rows = parsed(spark, folder, "plays", **settings)
    columns = [F.unix_seconds(name) if name == "played_at" else F.col(name) for name in fields]
    return sorted(map(tuple, rows.select("user_id", "item_id", *columns, "reasons").collect()), key=str)


def check(spark: SparkSession, folder: Path, **settings: Any) -> None:
    """Check the settings against the files below a folder, as the job does."""
    reader, _ = _reader(settings)
    reader.check(spark, [file for file in list_files(spark, str(folder)) if reader.role(file) is not None])


def _reader(settings: dict[str, Any]) -> tuple[Reader, SourceSettings]:
    options = SourceSettings.model_validate({"format": "plays", **settings})
    return load_reader(options.format)(options), options
