"""Headers of delimited files, read without a Spark job for each file.

The first records of local files are read by this process. Those of other storage, whose clients only Spark has, are
read by one job for all small files; a large file gets a job that reads its beginning.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.source import SourceSettings
from recsys_spark.core.paths import literal_path, local_path
from recsys_spark.ingestion.csv_records import BYTE_ORDER_MARK, read_records
from recsys_spark.ingestion.discovery import COMPRESSIONS, RawFile
from recsys_spark.ingestion.encodings import decode

__all__ = ["Header", "read_headers", "split_line"]

# A longer first line is that of a wrong file, which Spark reads.
MAX_HEADER_BYTES = 1 << 20
# The job for many files reads them to their end. Larger files, of which there are few, are read one by one.
SMALL_FILE_BYTES = 8 << 20


class Header(NamedTuple):
    """Names of the columns, and the line that states them; no line without source.header."""

    names: tuple[str, ...]
    line: str | None


def read_headers(
    spark: SparkSession, files: Sequence[RawFile], settings: SourceSettings, delimiter: str
) -> dict[RawFile, Header]:
    """Return the header of each file: its first line that is not blank; no names for a file without one."""
    lines = {file: _local_line(file, settings) for file in files}
    others = [file for file, line in lines.items() if line is None]
    small = [file for file in others if file.size <= SMALL_FILE_BYTES and settings.is_read_by_line]
    if small:
        found = _first_lines(spark, small, settings.encoding)
        lines |= {file: found.get(file.uri, "") for file in small}
    for file in set(others) - set(small):
        first = read_records(spark, [file], settings, delimiter).select("raw").first()
        lines[file] = "" if first is None else first["raw"]
    return {file: _header(lines[file] or "", settings, delimiter) for file in files}


def split_line(line: str, settings: SourceSettings, delimiter: str) -> tuple[str, ...]:
    """Return the fields of a line, such as a header."""
    if settings.quote is None or len(delimiter) > 1:
        return tuple(line.split(delimiter))
    doubled = settings.escape == settings.quote
    fields = csv.reader(
        io.StringIO(line, newline=""),
        delimiter=delimiter,
        quotechar=settings.quote,
        doublequote=doubled,
        escapechar=None if doubled else settings.escape,
    )
    return tuple(next(fields))


def _header(line: str, settings: SourceSettings, delimiter: str) -> Header:
    if not line:
        return Header((), None)
    names = split_line(line, settings, delimiter)
    if settings.header:
        return Header(names, line)
    return Header(tuple(str(position) for position in range(1, len(names) + 1)), None)


def _local_line(file: RawFile, settings: SourceSettings) -> str | None:
    """Return the first line of a local file that is not blank; None for a file that Spark has to read."""
    path = local_path(file.path)
    packed = file.name.lower().endswith(COMPRESSIONS)
    gzipped = file.name.endswith(".gz")
    if path is None or not settings.extends_ascii or (packed and not gzipped):
        return None
    try:
        with gzip.open(path) if gzipped else path.open("rb") as stream:
            line = _first_text(stream, settings.encoding)
    except (OSError, EOFError, zlib.error):
        # A broken file fails in Spark, whose errors name it.
        return None
    quotes = 0 if line is None or settings.quote is None else line.count(settings.quote)
    # A header with a line break in quotes goes on in the next line.
    return line if settings.is_read_by_line or quotes % 2 == 0 else None


def _first_text(stream: io.BufferedIOBase, encoding: str) -> str | None:
    """Return the first line that is not blank, "" without one; None if it is too long.

    As in Spark, a line also ends at CR.
    """
    while content := stream.readline(MAX_HEADER_BYTES):
        if len(content) == MAX_HEADER_BYTES:
            return None
        for part in content.rstrip(b"\n").split(b"\r"):
            text = part.decode(encoding, errors="replace").removeprefix(BYTE_ORDER_MARK)
            if text.strip(" "):
                return text
    return ""


def _first_lines(spark: SparkSession, files: Sequence[RawFile], encoding: str) -> dict[str, str]:
    """Return the first line that is not blank by URI; files without one are absent."""
    text, _ = decode(F.col("value"), encoding)
    without_mark = F.when(F.startswith(text, F.lit(BYTE_ORDER_MARK)), F.substring(text, 2, 2**31 - 1)).otherwise(text)
    lines = spark.read.text([literal_path(file.path) for file in files]).select(
        F.col("_metadata.file_path").alias("uri"),
        # A file is cut into splits, whose places are in its order. A split starts with the line that begins in it.
        F.struct(
            F.col("_metadata.file_block_start").alias("start"), F.monotonically_increasing_id().alias("nth")
        ).alias("place"),
        without_mark.alias("line"),
    )
    first = lines.where(F.trim("line") != "").groupBy("uri").agg(F.min_by("line", "place").alias("line"))
    return {row["uri"]: row["line"] for row in first.collect()}
