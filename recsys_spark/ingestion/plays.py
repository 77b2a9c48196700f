"""Format `plays`: CSV, TSV, JSON-lines or Parquet logs with mapped columns."""

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, TimestampType

from recsys_spark.config.source import SourceSettings
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.paths import literal_path
from recsys_spark.ingestion.csv_files import check_columns, read_csv
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.reader import Reader, Role, read_lines

__all__ = ["PlaysReader"]

SUFFIXES = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet"}


class PlaysReader(Reader):
    """Reader of plays; `source.kind` decides whether a row is an event, a total or a rating."""

    def __init__(self, settings: SourceSettings) -> None:
        super().__init__(settings)
        self.kind = settings.kind
        self.timed = settings.columns.played_at is not None
        needed = {"totals": "play_count", "ratings": "rating"}.get(settings.kind)
        mapped = settings.columns.mapped()
        if needed is not None and needed not in mapped:
            raise ConfigError(f"source.kind {settings.kind} needs source.columns.{needed}")
        for field, kind in (("play_count", "totals"), ("rating", "ratings")):
            if settings.kind == "events" and field in mapped:
                raise ConfigError(
                    f"source.columns.{field} has no meaning for source.kind events, where each row is one play:"
                    f" set source.kind to {kind}"
                )

    def role(self, file: RawFile) -> Role | None:
        """Return plays for every file."""
        return "plays"

    def check(self, spark: SparkSession, files: Sequence[RawFile]) -> None:
        """Raise ConfigError naming mapped columns that a file lacks."""
        mapped = self.settings.columns.mapped()
        delimited = [file for file in files if self._file_type(file) == "csv"]
        for delimiter in sorted({self._delimiter(file) for file in delimited}):
            of_delimiter = [file for file in delimited if self._delimiter(file) == delimiter]
            check_columns(spark, of_delimiter, mapped, self.settings, delimiter)
        for file in files:
            if self._file_type(file) == "parquet":
                present = spark.read.parquet(literal_path(file.path)).columns
                missing = [raw for raw in mapped.values() if raw not in present]
                if missing:
                    raise ConfigError(*[f"source.columns: no column {raw!r} in {file.uri}" for raw in missing])

    def plays(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read the rows of all files, which may be of different types."""
        groups: dict[tuple[str, str], list[RawFile]] = {}
        for file in files:
            groups.setdefault((self._file_type(file), self._delimiter(file)), []).append(file)
        frames = [self._read(spark, group, *key) for key, group in groups.items()]
        return reduce(DataFrame.unionByName, frames)

    def _read(self, spark: SparkSession, files: list[RawFile], file_type: str, delimiter: str) -> DataFrame:
        mapped = self.settings.columns.mapped()
        if file_type == "csv":
            return read_csv(spark, files, mapped, self.settings, delimiter)
        if file_type == "parquet":
            return _read_parquet(spark, files, mapped)
        return _read_json(read_lines(spark, files, self.settings.encoding), mapped)

    def _file_type(self, file: RawFile) -> str:
        if self.settings.file_type != "auto":
            return self.settings.file_type
        name = file.name.lower().removesuffix(".gz")
        return next((kind for suffix, kind in SUFFIXES.items() if name.endswith(suffix)), "csv")

    def _delimiter(self, file: RawFile) -> str:
        if self.settings.delimiter is not None:
            return {"\\t": "\t"}.get(self.settings.delimiter, self.settings.delimiter)
        return "\t" if file.name.lower().removesuffix(".gz").endswith((".tsv", ".tab")) else ","


def _read_parquet(spark: SparkSession, files: Sequence[RawFile], mapped: dict[str, str]) -> DataFrame:
    """Read the files grouped by their schema.

    Schemas differ: a column of integers in one file has floating-point values in another where a value was missing.
    """
    groups: dict[str, list[str]] = {}
    for file in files:
        path = literal_path(file.path)
        groups.setdefault(spark.read.parquet(path).schema.json(), []).append(path)
    return reduce(DataFrame.unionByName, [_read_same_schema(spark, paths, mapped) for paths in groups.values()])


def _read_same_schema(spark: SparkSession, paths: Sequence[str], mapped: dict[str, str]) -> DataFrame:
    rows = spark.read.parquet(*paths)
    types = {field.name: field.dataType for field in rows.schema}
    everything = F.struct(*[_column(name) for name in rows.columns])
    return rows.select(
        F.to_json(everything).alias("raw"),
        F.col("_metadata.file_path").alias("source_file"),
        F.lit(None).cast("string").alias("problem"),
        *[_as_text(raw, types[raw]).alias(field) for field, raw in mapped.items()],
    )


def _as_text(name: str, data_type: DataType) -> Column:
    """Return a column's values as text; timestamps carry their zone, so that parsing need not guess it."""
    column = _column(name)
    if isinstance(data_type, TimestampType):
        return F.date_format(column, "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX")
    return column.cast("string")


def _column(name: str) -> Column:
    """Return a column by a name that may contain any characters."""
    return F.col(f"`{name.replace('`', '``')}`")


def _read_json(lines: DataFrame, mapped: dict[str, str]) -> DataFrame:
    # A map accepts any column name, with spaces and dots, and keeps it out of SQL.
    values = F.from_json("raw", "MAP<STRING,STRING>", {"mode": "PERMISSIVE"})
    return lines.withColumn("values", values).select(
        "raw",
        "source_file",
        F.coalesce(F.col("problem"), F.when(F.col("values").isNull(), F.lit("not_json"))).alias("problem"),
        *[F.col("values").getItem(raw).alias(field) for field, raw in mapped.items()],
    )
