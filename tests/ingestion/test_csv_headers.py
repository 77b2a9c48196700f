"""Header lines of files, read by this process and by Spark alike."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.load import config_from
from recsys_spark.ingestion import csv_headers
from recsys_spark.ingestion.csv_headers import read_headers
from recsys_spark.ingestion.discovery import RawFile, list_files
from recsys_spark.runtime.spark_context import started_jobs

Write = Callable[..., Path]
HEADER = ("user_id", "item, id", "at")
LINE = b'user_id,"item, id",at'
FILES = {
    "plain.csv": (LINE + b"\nu,i,1\n", HEADER),
    "crlf.csv": (LINE + b"\r\nu,i,1\r\n", HEADER),
    "cr.csv": (LINE + b"\ru,i,1\r", HEADER),
    "bom.csv": (b"\xef\xbb\xbf" + LINE + b"\n", HEADER),
    "no end.csv": (LINE, HEADER),
    "packed.csv.gz": (gzip.compress(LINE + b"\nu,i,1\n"), HEADER),
    "blank.csv": (b"\n  \r\n" + LINE + b"\n", HEADER),
    "blanks.csv": (b"\n  \n", ()),
    "bytes.csv": (b"user_id,caf\xe9\n", ("user_id", "caf\ufffd")),
    "名 [1].csv": ("名,b\n".encode(), ("名", "b")),
}


def test_both_ways_to_read_headers_agree_and_start_no_job_a_file(
    spark: SparkSession, tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, (content, _) in FILES.items():
        write(name, content)
    write("long.csv", LINE + b"\n" + b"u,i,1\n" * 300)
    expected = {name: header for name, (_, header) in FILES.items()} | {"long.csv": HEADER}
    files = list_files(spark, str(tmp_path / "raw"))
    settings = config_from({"tables.root": "unused"}).source

    def read(*chosen: RawFile) -> dict[str, tuple[str, ...]]:
        found = read_headers(spark, chosen or files, settings, ",")
        return {file.name: header.names for file, header in found.items()}

    before = started_jobs(spark)
    assert read() == expected
    assert started_jobs(spark) == before + 1, "the one of the count"
    monkeypatch.setattr(csv_headers, "local_path", lambda uri: None)
    monkeypatch.setattr(csv_headers, "SMALL_FILE_BYTES", 1_000)
    spark.conf.set("spark.sql.files.maxPartitionBytes", "64")
    try:
        assert read() == expected
        assert started_jobs(spark) <= before + 1 + 6, "one pass over the small files, one job for the large one"
    finally:
        spark.conf.unset("spark.sql.files.maxPartitionBytes")


def test_a_broken_or_overlong_file_is_left_to_spark(
    spark: SparkSession, tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("broken.csv.gz", gzip.compress(LINE * 99)[:20])
    write("long.csv", LINE + b"\n")
    monkeypatch.setattr(csv_headers, "MAX_HEADER_BYTES", 5)
    files = list_files(spark, str(tmp_path / "raw"))
    settings = config_from({"tables.root": "unused"}).source
    assert [csv_headers._local_line(file, settings) for file in files] == [None, None]
