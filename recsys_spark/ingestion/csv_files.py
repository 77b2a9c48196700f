"""Delimited files with a header line, quoted as in RFC 4180.

Spark's CSV reader reads them. Files are grouped by their header, so that columns may come in any order and differ
between deliveries.
"""

from collections.abc import Mapping, Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.source import SourceSettings
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.paths import literal_path
from recsys_spark.ingestion.csv_headers import read_headers
from recsys_spark.ingestion.discovery import RawFile

__all__ = ["check_columns", "read_csv"]

CORRUPT = "__corrupt"
REPLACEMENT = "\ufffd"


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
    groups: dict[tuple[str, ...], list[RawFile]] = {}
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
    """Raise ConfigError naming every mapped column that a header lacks.

    A header of one column, or of unprintable text, shows a wrong file rather than a wrong mapping: read_csv reports it
    for every row.
    """
    for file, header in read_headers(spark, files, settings, delimiter).items():
        missing = [f"source.columns.{field}: no column {raw!r}" for field, raw in columns.items() if raw not in header]
        if len(header) > 1 and missing and _is_text(header):
            raise ConfigError(*[f"{problem} in {file.uri}, which has {', '.join(header)}" for problem in missing])


def _read_group(
    spark: SparkSession,
    files: Sequence[RawFile],
    header: tuple[str, ...],
    columns: Mapping[str, str],
    settings: SourceSettings,
    delimiter: str,
) -> DataFrame:
    names = [f"c{position}" for position in range(max(1, len(header)))]
    schema = ", ".join(f"{name} STRING" for name in [*names, CORRUPT])
    rows = (
        spark.read.schema(schema)
        .option("header", "true")
        .option("sep", delimiter)
        .option("quote", '"')
        .option("escape", '"')
        .option("encoding", settings.encoding)
        .option("multiLine", settings.multi_line)
        .option("columnNameOfCorruptRecord", CORRUPT)
        .csv([literal_path(file.path) for file in files])
        .select("*", F.col("_metadata.file_path").alias("source_file"))
    )
    whole_file = None
    if header and not _is_text(header):
        whole_file = "unreadable_header"
    elif len(header) == 1 and len(columns) > 1:
        whole_file = "wrong_delimiter"
    fields = [
        (F.col(names[header.index(raw)]) if raw in header else F.lit(None).cast("string")).alias(field)
        for field, raw in columns.items()
    ]
    together = F.concat_ws(delimiter, *names)
    return rows.select(
        F.coalesce(F.col(CORRUPT), together).alias("raw"),
        "source_file",
        _problem(whole_file, together).alias("problem"),
        *fields,
    )


def _is_text(header: tuple[str, ...]) -> bool:
    return all(name.isprintable() and REPLACEMENT not in name for name in header)


def _problem(whole_file: str | None, together: Column) -> Column:
    if whole_file is not None:
        return F.lit(whole_file)
    return (
        F.when(F.col(CORRUPT).isNotNull(), F.lit("wrong_column_count"))
        # The CSV reader decodes first, and puts this character for bytes that it cannot decode.
        .when(F.contains(together, F.lit(REPLACEMENT)), F.lit("invalid_encoding"))
    )
