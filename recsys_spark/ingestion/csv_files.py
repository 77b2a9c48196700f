"""Delimited files, quoted as in RFC 4180 unless the settings say otherwise.

Files are grouped by their header, so that columns may come in any order and differ between deliveries. Without a header
(source.header) the columns have the names 1, 2, ...
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.source import SourceSettings
from recsys_spark.core.errors import ConfigError
from recsys_spark.ingestion.csv_headers import Header, read_headers
from recsys_spark.ingestion.csv_records import REPLACEMENT, read_records, split_records
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.reader import Reader, Role

__all__ = ["check_columns", "check_columns_by_role", "read_csv"]


def read_csv(
    spark: SparkSession,
    files: Sequence[RawFile],
    columns: Mapping[str, str],
    settings: SourceSettings,
    delimiter: str = ",",
) -> DataFrame:
    """Read rows with the fields of `columns` and raw, source_file, problem.

    `columns` maps fields to raw columns; all are STRING. A row with too few or too many columns, or with bytes that
    are invalid in the encoding, has a problem. So has every row of a file whose header shows that the delimiter is
    wrong.
    """
    groups: dict[Header, list[RawFile]] = {}
    for file, header in read_headers(spark, files, settings, delimiter).items():
        groups.setdefault(header, []).append(file)
    frames = [_read_group(spark, group, header, columns, settings, delimiter) for header, group in groups.items()]
    return reduce(DataFrame.unionByName, frames)


def check_columns(
    spark: SparkSession,
    files: Sequence[RawFile],
    columns: Mapping[str, str],
    settings: SourceSettings,
    delimiter: str,
) -> None:
    """Raise ConfigError naming every mapped column that a header lacks or has twice.

    A header of one column, or of unprintable text, shows a wrong file rather than a wrong mapping: read_csv reports it
    for every row.
    """
    for file, header in read_headers(spark, files, settings, delimiter).items():
        if len(header.names) > 1 and _is_text(header.names):
            problems = list(_column_problems(file, header.names, columns, settings))
            if problems:
                raise ConfigError(*problems)


def check_columns_by_role(
    spark: SparkSession, files: Sequence[RawFile], reader: Reader, columns: Mapping[Role, Mapping[str, str]]
) -> None:
    """Check the headers of comma-separated files of each role; see check_columns."""
    for role, of_role in columns.items():
        check_columns(spark, [file for file in files if reader.role(file) == role], of_role, reader.settings, ",")


def _column_problems(
    file: RawFile, header: Sequence[str], columns: Mapping[str, str], settings: SourceSettings
) -> Iterator[str]:
    # Spaces around a name are part of it, and are seen only in quotes.
    names = ", ".join(name if name and name == name.strip() else repr(name) for name in header)
    remedy = "; set source.header to false for files without a header" if settings.header else ""
    for field, raw in columns.items():
        if raw not in header:
            yield f"source.columns.{field}: no column {raw!r} in {file.uri}, which has {names}{remedy}"
        elif header.count(raw) > 1:
            yield (
                f"source.columns.{field}: {header.count(raw)} columns are named {raw!r} in {file.uri}, which has"
                f" {names}: rename one of them"
            )


def _read_group(
    spark: SparkSession,
    files: Sequence[RawFile],
    header: Header,
    columns: Mapping[str, str],
    settings: SourceSettings,
    delimiter: str,
) -> DataFrame:
    names = [f"c{position}" for position in range(max(1, len(header.names)))]
    records = read_records(spark, files, settings, delimiter)
    whole_file = None
    if header.names and not _is_text(header.names):
        # Its first line counts as a row: a file of another kind may have no other.
        whole_file = "unreadable_header"
    elif len(header.names) == 1 and len(columns) > 1:
        whole_file = "wrong_delimiter"
    if header.line is not None and whole_file != "unreadable_header":
        # Wherever it stands: files are often concatenated.
        records = records.where(F.col("raw") != header.line)
    rows = split_records(records, settings, delimiter, names)
    fields = [
        (F.col(names[header.names.index(raw)]) if raw in header.names else F.lit(None).cast("string")).alias(field)
        for field, raw in columns.items()
    ]
    problem = F.col("problem") if whole_file is None else F.lit(whole_file)
    return rows.select("raw", "source_file", problem.alias("problem"), *fields)


def _is_text(header: Sequence[str]) -> bool:
    return all(name.isprintable() and REPLACEMENT not in name for name in header)
