"""Header lines of delimited files, read without a Spark job for each file.

Headers of local files are read by this process. Those of other storage, whose clients only Spark has, are read by one
job for all small files; a large file gets a job that reads its beginning.
"""

import csv
import gzip
import zlib
from collections.abc import Sequence

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.source import SourceSettings
from recsys_spark.core.paths import literal_path, local_path
from recsys_spark.ingestion.discovery import RawFile

__all__ = ["read_headers"]

# Suffixes of the codecs of Hadoop. A file of any other name is not compressed.
COMPRESSED = (".bz2", ".deflate", ".lz4", ".snappy", ".xz", ".zst")
# A longer first line is that of a wrong file, which Spark reads.
MAX_HEADER_BYTES = 1 << 20
# The job for many files reads them to their end. Larger files, of which there are few, are read one by one.
SMALL_FILE_BYTES = 8 << 20
BOM = "\ufeff"


def read_headers(
    spark: SparkSession, files: Sequence[RawFile], settings: SourceSettings, delimiter: str
) -> dict[RawFile, tuple[str, ...]]:
    """Return the column names in the first line of each file; () for an empty file."""
    lines = {file: _local_line(file, settings.encoding) for file in files}
    others = [file for file, line in lines.items() if line is None]
    small = [file for file in others if file.size <= SMALL_FILE_BYTES]
    if small:
        found = _first_lines(spark, small, settings.encoding)
        lines |= {file: found.get(file.uri, "") for file in small}
    for file in others:
        if file.size > SMALL_FILE_BYTES:
            lines[file] = _first_line(spark, file, settings.encoding)
    return {file: _names(lines[file] or "", delimiter) for file in files}


def _names(line: str, delimiter: str) -> tuple[str, ...]:
    line = line.removeprefix(BOM)
    if not line:
        return ()
    if len(delimiter) > 1:
        return tuple(line.split(delimiter))
    return tuple(next(csv.reader([line], delimiter=delimiter)))


def _local_line(file: RawFile, encoding: str) -> str | None:
    """Return the first line of a local file; None for a file that Spark has to read."""
    path = local_path(file.path)
    if path is None or file.name.endswith(COMPRESSED):
        return None
    try:
        with gzip.open(path) if file.name.endswith(".gz") else path.open("rb") as stream:
            line = stream.readline(MAX_HEADER_BYTES)
    except (OSError, EOFError, zlib.error):
        # A broken file fails in Spark, whose errors name it.
        return None
    # As in Spark, a line also ends at CR.
    line = line.rstrip(b"\n").split(b"\r", 1)[0]
    return line.decode(encoding, errors="replace") if len(line) < MAX_HEADER_BYTES else None


def _first_lines(spark: SparkSession, files: Sequence[RawFile], encoding: str) -> dict[str, str]:
    """Return the first line by URI; empty files are absent."""
    lines = spark.read.text([literal_path(file.path) for file in files]).select(
        F.col("_metadata.file_path").alias("uri"),
        F.col("_metadata.file_block_start").alias("start"),
        # Increases with the lines of a task, of which each reads whole splits.
        F.monotonically_increasing_id().alias("place"),
        "value",
    )
    # A split starts with the first line that begins in it.
    first = lines.where("start = 0").groupBy("uri").agg(F.min_by("value", "place").alias("value"))
    return {row["uri"]: row["line"] for row in first.select("uri", _decoded(encoding).alias("line")).collect()}


def _first_line(spark: SparkSession, file: RawFile, encoding: str) -> str:
    first = spark.read.text(literal_path(file.path)).select(_decoded(encoding)).first()
    return "" if first is None else str(first[0])


def _decoded(encoding: str) -> Column:
    if encoding == "UTF-8":
        return F.expr("make_valid_utf8(value)")
    return F.decode(F.col("value").cast("binary"), encoding)
