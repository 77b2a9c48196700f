"""Format `plays`: CSV, TSV, JSON or Parquet logs with mapped columns."""

from collections.abc import Sequence
from functools import reduce
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.source import SourceSettings
from recsys_spark.core.errors import ConfigError
from recsys_spark.ingestion.csv_files import check_columns, read_csv
from recsys_spark.ingestion.csv_headers import split_line
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.json_files import check_json_keys, read_json, read_json_rows
from recsys_spark.ingestion.parquet_files import check_parquet_columns, read_parquet
from recsys_spark.ingestion.reader import Reader, Role

__all__ = ["PlaysReader"]

SUFFIXES = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet"}
# Folder name of rows without a value.
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


class PlaysReader(Reader):
    """Reader of plays; `source.kind` decides whether a row is an event, a total or a rating."""

    def __init__(self, settings: SourceSettings) -> None:
        super().__init__(settings)
        self.kind = settings.kind
        self.timed = settings.columns.played_at is not None
        needed = {"totals": "play_count", "ratings": "rating"}.get(settings.kind)
        mapped = settings.columns.mapped()
        if needed is not None and needed not in mapped:
            raise ConfigError(
                f"source.kind {settings.kind} needs source.columns.{needed}: set it to a column of the files"
            )
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
        """Raise ConfigError naming mapped columns that a file lacks.

        Rows of JSON may leave out keys: a key must be in some row of the JSON files.
        """
        json_files = []
        delimited: dict[tuple[str, frozenset[str]], list[RawFile]] = {}
        for file in files:
            columns = self._columns_inside(file)
            if self._file_type(file) == "csv":
                delimited.setdefault((self._delimiter(file), frozenset(columns)), []).append(file)
            elif self._file_type(file) == "parquet":
                check_parquet_columns(spark, [file], columns)
            elif not self.settings.extends_ascii:
                raise ConfigError(
                    f"source.encoding {self.settings.encoding} is read for CSV files alone: convert {file.uri} to UTF-8"
                )
            else:
                json_files.append(file)
        for (delimiter, _), alike in delimited.items():
            check_columns(spark, alike, self._columns_inside(alike[0]), self.settings, delimiter)
        if json_files:
            inside = {field: raw for file in json_files for field, raw in self._columns_inside(file).items()}
            check_json_keys(self._json_rows(spark, json_files), inside, self.settings.multi_line)

    def plays(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read the rows of all files, which may be of different types."""
        groups: dict[tuple[str, str, frozenset[str]], list[RawFile]] = {}
        for file in files:
            in_path = frozenset(self._fields_in_path(file))
            groups.setdefault((self._file_type(file), self._delimiter(file), in_path), []).append(file)
        frames = [self._read(spark, group, *key[:2]) for key, group in groups.items()]
        return self._without_null_values(reduce(DataFrame.unionByName, frames))

    def fault_if_empty(self, file: RawFile, line: str | None) -> str | None:
        """Return the fault of a file without rows; a CSV file may hold its header alone."""
        if line and self._file_type(file) == "csv" and len(self.settings.columns.mapped()) > 1:
            delimiter = self._delimiter(file)
            if len(split_line(line, self.settings, delimiter)) == 1:
                return f"has a header of one column with the delimiter {delimiter!r}: set source.delimiter"
        return super().fault_if_empty(file, line)

    def _read(self, spark: SparkSession, files: list[RawFile], file_type: str, delimiter: str) -> DataFrame:
        """Read files of one type whose paths state the same fields."""
        columns, item_lists = self._columns_inside(files[0]), self.settings.item_lists
        if file_type == "csv":
            rows = read_csv(spark, files, columns, self.settings, delimiter)
        elif file_type == "parquet":
            rows = read_parquet(spark, files, columns, item_lists)
        else:
            rows = read_json(self._json_rows(spark, files), columns, item_lists)
        in_path = list(self._fields_in_path(files[0]))
        if not in_path:
            return rows
        schema = "source_file STRING, " + ", ".join(f"{field} STRING" for field in in_path)
        stated = [(file.uri, *self._fields_in_path(file).values()) for file in files]
        return rows.join(F.broadcast(spark.createDataFrame(stated, schema)), on="source_file", how="left")

    def _json_rows(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        return read_json_rows(spark, files, self.settings.encoding, self.settings.multi_line)

    def _columns_inside(self, file: RawFile) -> dict[str, str]:
        """Return field -> raw column, for the fields that the file's path does not state."""
        in_path = self._fields_in_path(file)
        return {field: raw for field, raw in self.settings.columns.mapped().items() if field not in in_path}

    def _fields_in_path(self, file: RawFile) -> dict[str, str | None]:
        """Return the fields that folders like `country=KR` state, as Hive and Spark name them."""
        folders = dict(part.split("=", 1) for part in file.path.split("/")[:-1] if "=" in part)
        values = {unquote(name): unquote(value) for name, value in folders.items()}
        mapped = self.settings.columns.mapped()
        return {f: None if values[r] == NO_VALUE else values[r] for f, r in mapped.items() if r in values}

    def _file_type(self, file: RawFile) -> str:
        if self.settings.file_type != "auto":
            return self.settings.file_type
        return next((kind for suffix, kind in SUFFIXES.items() if file.data_name.endswith(suffix)), "csv")

    def _delimiter(self, file: RawFile) -> str:
        if self.settings.delimiter is not None:
            return {"\\t": "\t"}.get(self.settings.delimiter, self.settings.delimiter)
        return "\t" if file.data_name.endswith((".tsv", ".tab")) else ","

    def _without_null_values(self, rows: DataFrame) -> DataFrame:
        """Replace the texts that mean a missing value; an item may well have the name None."""
        fields = [field for field in self.settings.columns.mapped() if field != "item_name"]
        if not self.settings.null_values:
            return rows
        return rows.withColumns(
            {field: F.when(~F.col(field).isin(*self.settings.null_values), F.col(field)) for field in fields}
        )
