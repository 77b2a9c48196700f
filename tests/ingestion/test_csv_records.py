"""CSV text as it is found: line breaks, quotes, encodings, headers, missing values."""

import bz2
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.source import SourceSettings
from recsys_spark.core.errors import ConfigError
from recsys_spark.ingestion.discovery import RawFile, list_files
from recsys_spark.ingestion.parsing import parse_plays
from recsys_spark.ingestion.plays import PlaysReader

# Users, items and names of the valid rows, and the raw text and reasons of the refused ones.
Found = tuple[list[tuple[str, str, str | None]], list[tuple[str, str]]]
TORN = "line_break_in_quotes (source.multi_line)"


class Readings:
    """Files of plays, and the rows that the reader finds in them."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark, self.folder = spark, folder

    def files(self, content: str | bytes, name: str = "a.csv") -> list[RawFile]:
        """Write a file and list it."""
        place = self.folder / str(len(list(self.folder.iterdir())))
        place.mkdir()
        (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return list_files(self.spark, str(place))

    def __call__(self, content: str | bytes, name: str = "a.csv", **settings: Any) -> Found:
        """Return the valid and the refused rows of a file with user_id, item_id and title."""
        wanted = SourceSettings.model_validate({"format": "plays", "columns": {"item_name": "title"}, **settings})
        reader, files = PlaysReader(wanted), self.files(content, name)
        reader.check(self.spark, files)
        rows = parse_plays(reader.plays(self.spark, files), reader, wanted)
        found = rows.select("reasons", "raw", "user_id", "item_id", "item_name").collect()
        valid = [tuple(row)[2:] for row in found if row["reasons"] is None]
        return sorted(valid, key=repr), sorted((row["raw"], row["reasons"]) for row in found if row["reasons"])


@pytest.fixture
def read(spark: SparkSession, tmp_path: Path) -> Readings:
    """Return a reading of CSV files."""
    return Readings(spark, tmp_path)


HEADER = "user_id,item_id,title\n"


def test_a_line_break_in_quotes_makes_no_user_and_is_read_when_declared(read: Readings) -> None:
    lines = ["u0,k00,plain", 'u1,k01,"fine', 'really, truly, fine"', "u2,k02,last"]
    text = HEADER + "\n".join(lines) + "\n"
    ends = [("u0", "k00", "plain"), ("u2", "k02", "last")]
    assert read(text) == (ends, [(line, TORN) for line in sorted(lines[1:3])])
    assert read(text, multi_line=True) == ([ends[0], ("u1", "k01", "fine\nreally, truly, fine"), ends[1]], [])
    crlf = text.replace("\n", "\r\n")
    assert read(crlf, multi_line=True)[0][1] == ("u1", "k01", "fine\r\nreally, truly, fine")
    # A quote that is never closed takes the rest of the file: refused, not shortened.
    assert read(f'{HEADER}u,k,t\nv,k,"no end\nw,k,t\n', multi_line=True) == (
        [("u", "k", "t")],
        [('v,k,"no end\nw,k,t', "quote_without_end (source.quote)")],
    )


def test_quotes_within_a_value_and_proper_ones_stay_valid(read: Readings) -> None:
    text = HEADER + 'a,k,7" single\nb,k,"Weird Al" Y\nc,k,"the ""real"" thing"\n"d,e",k,"""x"""\nf,k,"C:\\dir\\"\n'
    names = ['7" single', '"Weird Al" Y', 'the "real" thing', '"x"', "C:\\dir\\"]
    users = ["a", "b", "c", "d,e", "f"]
    for multi_line in (False, True):
        assert read(text, multi_line=multi_line) == (list(zip(users, "kkkkk", names, strict=True)), [])


def test_backslashes_escape_quotes_when_declared_and_are_refused_otherwise(read: Readings) -> None:
    lines = ['u,k,"Say \\"Hello\\", World"', 'v,k,"Say \\"Hello\\""', 'w,k,"a\\\\"', "x,k,plain"]
    text = HEADER + "\n".join(lines) + "\n"
    valid, refused = read(text)
    assert valid == [("w", "k", "a\\\\"), ("x", "k", "plain")]
    assert refused == [(line, "backslash_before_quote (source.escape)") for line in lines[:2]]
    names = ['Say "Hello", World', 'Say "Hello"', "a\\", "plain"]
    expected = list(zip("uvwx", "kkkk", names, strict=True))
    assert read(text, escape="\\") == read(text, escape="\\", multi_line=True) == (expected, [])


def test_without_quoting_quotes_are_part_of_a_value(read: Readings) -> None:
    text = 'user_id\titem_id\ttitle\nu\tk\t"Heroes\nv\tk\t"Weird Al" Y\nw\tk\ta "b\tc\nx\tk\t\n'
    valid, refused = read(text, "a.tsv", quote=None)
    assert valid == [("u", "k", '"Heroes'), ("v", "k", '"Weird Al" Y'), ("x", "k", None)]
    assert refused == [('w\tk\ta "b\tc', "wrong_column_count")]


def test_the_raw_text_is_the_line_as_it_stood(read: Readings) -> None:
    lines = [",k01,title", ",,", 'u,,"a, ""b"""', " ,k,x", "u", "u,k,t,more", ',k,"two\nlines"', ",true,", "true"]
    expected = sorted(lines)
    assert [raw for raw, _ in read(HEADER + "\n".join(lines) + "\n", multi_line=True)[1]] == expected
    one_line = [line for line in lines if "\n" not in line]
    assert [raw for raw, _ in read(HEADER + "\r\n".join(one_line) + "\r\n")[1]] == sorted(one_line)
    row = '{"user_id": null,  "item_id": "k", "title": ""}'
    assert read(row + "\n", "a.json")[1] == [(row, "missing_user_id")]


def test_a_valid_replacement_character_is_text_and_invalid_bytes_are_not(read: Readings) -> None:
    content = f"{HEADER}u,k,odd \ufffd\nv,k,é\n".encode() + b"w,k,\xe9\n"
    expected = ([("u", "k", "odd \ufffd"), ("v", "k", "é")], [("w,k,\ufffd", "invalid_encoding")])
    assert read(content) == read(content, multi_line=True) == expected


def test_declared_encodings_are_read_with_and_without_line_breaks(read: Readings) -> None:
    text = 'user_id;item_id;title\r\nü;k;"“€ 5”; œuvre"\r\n名;k;x\r\n'
    western = text.replace("名", "n")
    for name in ("windows-1252", "UTF-16", "UTF-16LE", "UTF-16BE"):
        content = (western if name == "windows-1252" else text).encode(name)
        valid, refused = read(content, encoding=name, delimiter=";")
        assert valid == sorted([("ü", "k", "“€ 5”; œuvre"), ("n" if name[0] == "w" else "名", "k", "x")], key=repr)
        assert refused == []
        assert read(content, encoding=name, delimiter=";", multi_line=True) == (valid, [])
    # 0x81 stands for no character of windows-1252.
    assert read(HEADER.encode() + b"u,k,\x81\n", encoding="cp1252")[1] == [("u,k,\x81", "invalid_encoding")]
    # Delimiters outside ASCII have several bytes.
    broken = 'user_id§item_id§title\nu§k§"a\n§b"\n'
    assert read(broken, delimiter="§", multi_line=True) == ([("u", "k", "a\n§b")], [])
    with pytest.raises(ConfigError, match=r"UTF-16 is read for CSV files alone: convert .*a.json to UTF-8"):
        read("{}", "a.json", encoding="UTF-16")


def test_text_of_another_encoding_is_refused_not_fatal(read: Readings) -> None:
    content = (HEADER + "u,k,t\n").encode("UTF-16")
    for multi_line in (False, True):
        valid, refused = read(content, multi_line=multi_line)
        assert valid == [] and refused and {reason for _, reason in refused} == {"unreadable_header"}


def test_columns_by_position_read_every_line(read: Readings) -> None:
    columns = {"user_id": "3", "item_id": "1", "item_name": "2"}
    text = "\ufeffk\tone\tu\nk\ttwo\tv\n"
    assert read(text, "a.tsv", header=False, columns=columns) == ([("u", "k", "one"), ("v", "k", "two")], [])
    assert read(text, "a.tsv", header=False, columns=columns, multi_line=True)[0][0] == ("u", "k", "one")
    with pytest.raises(ConfigError, match=r"source.columns.user_id: no column '9' in .*, which has 1, 2, 3"):
        read(text, "a.tsv", header=False, columns={**columns, "user_id": "9"})
    with pytest.raises(ConfigError, match=r"set source.header to false for files without a header"):
        read(text, "a.tsv")


def test_headers_may_repeat_follow_blank_lines_and_carry_a_mark(read: Readings) -> None:
    text = f"\n  \n\ufeff{HEADER}u,k,t\n\n\ufeff{HEADER}v,k,t\n".encode()
    assert read(text) == read(text, multi_line=True) == ([("u", "k", "t"), ("v", "k", "t")], [])


def test_mapped_columns_must_be_clear_and_others_may_be_odd(read: Readings) -> None:
    with pytest.raises(ConfigError, match=r"source.columns.item_id: 2 columns are named 'item_id'"):
        read("user_id,item_id,title,item_id\nu,k,t,x\n")
    with pytest.raises(ConfigError, match=r"no column 'item_id' in .*, which has user_id, ' item_id', title"):
        read("user_id, item_id,title\nu,k,t\n")
    odd = 'user_id,x,x,,"a.b`c, d",item_id,title\nu,1,2,3,4,k,t\n'
    assert read(odd) == ([("u", "k", "t")], [])


def test_texts_that_mean_a_missing_value_are_no_ids(read: Readings) -> None:
    missing = ["NULL", "\\N", "nan", "None"]
    text = HEADER + "".join(f"{user},k,t\n" for user in missing) + "null?,k,None\nu,NaN,t\n"
    valid, refused = read(text)
    assert valid == [("null?", "k", "None")]
    reasons = [(f"{user},k,t", "missing_user_id") for user in missing] + [("u,NaN,t", "missing_item_id")]
    assert refused == sorted(reasons)
    assert len(read(text, null_values=())[0]) == 6
    assert read('{"user_id": "None", "item_id": "k", "title": "t"}\n', "a.jsonl")[1][0][1] == "missing_user_id"


def test_bzip2_is_read_by_the_type_of_its_content(read: Readings) -> None:
    content = bz2.compress(b"user_id\titem_id\ttitle\nu\tk\tt\n")
    assert read(content, "a.TSV.bz2") == ([("u", "k", "t")], [])


def test_lines_without_an_end_are_refused_not_fatal(read: Readings) -> None:
    wide, quoted = "," * 30_000, '"' * 20_001
    assert [len(raw) for raw, _ in read(f"{HEADER}u,k,t\n{wide}\n{quoted}\n")[1]] == [10_000, 10_000]
