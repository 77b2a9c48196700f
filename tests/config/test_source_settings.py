"""Settings of text files: patterns of times, encodings, columns by position."""

from datetime import datetime

import pytest

from recsys_spark.config.load import load_config
from recsys_spark.config.time_patterns import DIRECTIVES, check_time_pattern
from recsys_spark.core.errors import ConfigError

ROOT = ["--tables.root", "/tmp/x", "--source.format", "plays"]


def problems(*flags: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config([*ROOT, *flags], {})
    return str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("%Y-%m-%d %H:%M:%S", "yyyy-MM-dd HH:mm:ss"),
        ("%d/%b/%y, %I:%M %p", "dd/MMM/yy, hh:mm a"),
        ("%Y-%m-%dT%H:%M:%S.%f%z", "yyyy-MM-dd'T'HH:mm:ss.SSSSSSxx"),
        ("YYYY-MM-DD HH:mm:ss", "yyyy-MM-dd HH:mm:ss"),
        ("YYYY-MM-dd", "yyyy-MM-dd"),
        ("YYYY-MM-DD'T'hh:mm:ss", "yyyy-MM-dd'T'HH:mm:ss"),
        ("yyyy-MM-DD", "yyyy-MM-dd"),
        ("yyyy-mm-dd HH:MM:ss", "yyyy-MM-dd HH:mm:ss"),
        ("dd/mm/yyyy", "dd/MM/yyyy"),
        ("yyyy-MM-ddTHH:mm:ss", "yyyy-MM-dd'T'HH:mm:ss"),
    ],
)
def test_a_pattern_of_another_library_is_refused_with_the_one_that_was_meant(pattern: str, meant: str) -> None:
    text = problems("--source.time_format", pattern)
    assert text.startswith("source.time_format: ") and repr(meant) in text and f"got {pattern!r}" in text
    check_time_pattern(meant)


@pytest.mark.parametrize("pattern", ["EEE yyyy", "yyyy-MM-dd n", "yyyy{", "it's", "ddd yyyy", "epoch"])
def test_a_pattern_that_spark_cannot_parse_with_is_refused(pattern: str) -> None:
    assert "source.time_format: " in problems("--source.time_format", pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        *("auto", "epoch_millis", "yyyy-MM-dd HH:mm:ss", "dd.MM.yyyy 'hh YY' HH:mm XXX", "hh:mm a, MM/dd/yyyy"),
        *("yyyyMMddHHmmss", "yyyy-DDD", "yyyy-MM-dd'T'HH:mm[:ss]"),
    ],
)
def test_patterns_of_spark_are_accepted(pattern: str) -> None:
    assert load_config([*ROOT, "--source.time_format", pattern], {}).source.time_format == pattern


def test_directives_stand_for_what_strftime_writes() -> None:
    moment = datetime(2024, 3, 9, 17, 5, 8, 123456)
    widths = {
        len(moment.strftime(f"%{name}")) - len(meant) for name, meant in DIRECTIVES.items() if name in "YymdHIMSfj"
    }
    assert widths == {0}


@pytest.mark.parametrize(
    ("given", "meant"),
    [("cp1252", "windows-1252"), ("utf8", "UTF-8"), ("latin-1", "ISO-8859-1"), ("utf-16-le", "UTF-16LE")],
)
def test_other_spellings_of_an_encoding_are_accepted(given: str, meant: str) -> None:
    assert load_config([*ROOT, "--source.encoding", given], {}).source.encoding == meant


def test_an_encoding_that_is_not_read_is_refused_with_those_that_are() -> None:
    assert "windows-1252" in problems("--source.encoding", "shift_jis")
    assert "source.encoding" in problems("--source.encoding", "no such thing")


def test_without_a_header_columns_are_positions() -> None:
    flags = ["--source.header", "false", "--source.columns.user_id", "1", "--source.columns.item_id", "03"]
    text = problems(*flags, "--source.columns.played_at", "at")
    assert "source.columns.item_id" in text and "'03'" in text and "source.columns.played_at" in text
    assert "source.columns.user_id" not in text
    assert "source.columns.user_id" in problems("--source.header", "false")


def test_null_turns_quoting_off_and_an_escape_is_one_character() -> None:
    assert load_config([*ROOT, "--source.quote", "null"], {}).source.quote is None
    assert "source.escape" in problems("--source.escape", "ab") and "source.quote" in problems("--source.quote", "é")
