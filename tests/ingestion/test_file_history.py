"""Choice of files by the history of a source, without Spark."""

from datetime import UTC, datetime

import pytest

from recsys_spark.config.load import config_from
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.file_history import FileHistory
from recsys_spark.ingestion.plays import PlaysReader

NAMES = ("1.csv", "day-11.csv", "sub/1.csv", "sub/b1.csv")
FILES = [RawFile(f"file:///raw/{name}", f"file:///raw/{name}", 1, datetime(2024, 1, 1, tzinfo=UTC)) for name in NAMES]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("1.csv", ["1.csv", "sub/1.csv"]),
        ("sub/1.csv", ["sub/1.csv"]),
        ("/raw/1.csv", ["1.csv"]),
        ("*1.csv", list(NAMES)),
        ("day-*.csv", ["day-11.csv"]),
        ("ay-11.csv", []),
    ],
)
def test_reprocess_matches_whole_parts_of_paths(pattern: str, names: list[str]) -> None:
    flags = {"tables.root": "unused", "source.format": "plays", "source.path": "/raw", "source.reprocess": pattern}
    settings = config_from(flags).source
    chosen = FileHistory(()).select(FILES, PlaysReader(settings), settings).new
    assert [file.path.removeprefix("file:///raw/") for file in chosen] == names
