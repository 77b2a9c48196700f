"""Parquet files with mapped columns, which may lie inside structures."""

from collections.abc import Mapping, Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    StructField,
    StructType,
)

from recsys_spark.core.errors import ConfigError
from recsys_spark.core.paths import literal_path
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.parquet_schemas import LOGICAL_TYPE, read_schemas
from recsys_spark.ingestion.typed_values import is_nested, typed_text

__all__ = ["check_parquet_columns", "read_parquet"]


def check_parquet_columns(spark: SparkSession, files: Sequence[RawFile], mapped: Mapping[str, str]) -> None:
    """Raise ConfigError naming every mapped column that a file lacks."""
    for file, schema in read_schemas(spark, files, mapped).items():
        missing = [raw for raw in mapped.values() if _find(schema, raw) is None]
        if missing:
            raise ConfigError(
                *[f"source.columns: no column {raw!r} in {file.uri}: name a column of the file" for raw in missing]
            )


def read_parquet(
    spark: SparkSession, files: Sequence[RawFile], mapped: Mapping[str, str], item_lists: bool = False
) -> DataFrame:
    """Read the fields of `mapped` as text, with raw, source_file and problem.

    With `item_lists` a list of items becomes one row for each. Files are grouped by their schema: a column of integers
    in one file has floating-point values in another where a value was missing.
    """
    schemas: dict[str, StructType] = {}
    groups: dict[str, list[str]] = {}
    for file, schema in read_schemas(spark, files, mapped).items():
        schemas[schema.json()] = schema
        groups.setdefault(schema.json(), []).append(literal_path(file.path))
    frames = [_read_group(spark, paths, schemas[key], mapped, item_lists) for key, paths in groups.items()]
    return reduce(DataFrame.unionByName, frames)


def _read_group(
    spark: SparkSession, paths: Sequence[str], schema: StructType, mapped: Mapping[str, str], item_lists: bool
) -> DataFrame:
    rows = spark.read.schema(schema).parquet(*paths)
    texts, problems = [], [F.lit(None).cast("string")]
    for field, raw in mapped.items():
        found = _find(schema, raw)
        if found is None:
            texts.append(F.lit(None).cast("string").alias(field))
            continue
        column, column_type = found
        if field == "item_id" and item_lists and isinstance(column_type.dataType, ArrayType):
            texts.append(_each(column, column_type.dataType.elementType).alias(field))
            continue
        if is_nested(column_type.dataType):
            problems.append(F.when(column.isNotNull(), F.lit(f"nested_{field}")))
        texts.append(_text(column, column_type).alias(field))
    return rows.select(
        F.to_json(F.struct(*[_column(name) for name in schema.names]), {"ignoreNullFields": "false"}).alias("raw"),
        F.col("_metadata.file_path").alias("source_file"),
        F.coalesce(*problems).alias("problem"),
        *texts,
    )


def _each(column: Column, element_type: DataType) -> Column:
    """Return a row for each element of a list, as text.

    An empty list is one row with a null.
    """
    return F.explode_outer(F.transform(column, lambda element: typed_text(element, element_type)))


def _text(column: Column, field: StructField) -> Column:
    logical_type = field.metadata.get(LOGICAL_TYPE)
    if logical_type == "uuid":
        groups = r"(.{8})(.{4})(.{4})(.{4})(.{12})"
        return F.regexp_replace(F.lower(F.hex(column)), groups, "$1-$2-$3-$4-$5")
    if logical_type is not None:
        micros = F.timestamp_micros(F.call_function("div", column - F.pmod(column, F.lit(1000)), F.lit(1000)))
        zone = "XXX" if logical_type == "nanoseconds_utc" else ""
        return F.date_format(micros, f"yyyy-MM-dd'T'HH:mm:ss.SSSSSS{zone}")
    return typed_text(column, field.dataType)


def _find(schema: StructType, raw: str) -> tuple[Column, StructField] | None:
    """Return the column of a name or of a dotted path, and its field."""
    if raw in schema.names:
        return _column(raw), schema[raw]
    top, *path = raw.split(".")
    if top not in schema.names:
        return None
    column, field = _column(top), schema[top]
    for name in path:
        if not isinstance(field.dataType, StructType) or name not in field.dataType.names:
            return None
        column, field = column.getField(name), field.dataType[name]
    return column, field


def _column(name: str) -> Column:
    """Return a column by a name that may contain any characters."""
    return F.col(f"`{name.replace('`', '``')}`")
