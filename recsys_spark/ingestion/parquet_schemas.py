"""Schemas of Parquet files, read without a Spark job for each file.

Files with equal footers have one schema, which Spark infers once. It cannot infer that of files with nanosecond
timestamps or UUIDs, whose footers state the types.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.errors import PySparkTypeError
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_type
from pyspark.sql.types import (
    BinaryType,
    DataType,
    DecimalType,
    IntegerType,
    LongType,
    ShortType,
    StructField,
    StructType,
)

from recsys_spark.core.errors import ConfigError
from recsys_spark.core.paths import literal_path, local_path
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.storage.spark_errors import SPARK_ERRORS

__all__ = ["LOGICAL_TYPE", "read_schemas"]

# Key of a field's metadata for what its Spark type does not state.
LOGICAL_TYPE = "logical_type"
# Entries of a footer that decide about the types that Spark or Arrow reads.
TYPE_ENTRIES = (b"org.apache.spark.sql.parquet.row.metadata", b"ARROW:schema")
# Most footers are smaller; a larger one is read a second time.
FOOTER_BYTES = 65_536
# The job for many files reads them whole. Larger files, of which there are few, get a job each.
SMALL_FILE_BYTES = 8 << 20
# Spark's types of unsigned integers, by their bits.
UNSIGNED: dict[int, DataType] = {8: ShortType(), 16: IntegerType(), 32: LongType(), 64: DecimalType(20, 0)}


def read_schemas(spark: SparkSession, files: Sequence[RawFile], mapped: Mapping[str, str]) -> dict[RawFile, StructType]:
    """Return the columns of each file; only mapped ones where Spark cannot infer the types.

    Raises ConfigError for a mapped column of a type that Spark does not read.
    """
    digests = {file: _local_digest(file) for file in files}
    others = [file for file, digest in digests.items() if digest is None and file.size <= SMALL_FILE_BYTES]
    # The files that this process cannot open are few, or broken, or all of them.
    if len(others) > 1:
        found = _digests(spark, others)
        digests |= {file: found.get(file.path) for file in others}
    schemas: dict[str, StructType] = {}
    for file, digest in digests.items():
        key = digest or file.uri
        if key not in schemas:
            schemas[key] = _file_schema(spark, file, mapped)
    return {file: schemas[digest or file.uri] for file, digest in digests.items()}


def _local_digest(file: RawFile) -> str | None:
    """Return the digest of the footer of a local file; None for other storage and broken files."""
    path = local_path(file.path)
    try:
        return None if path is None else _digest(pq.ParquetFile(path))
    except (OSError, pa.ArrowException):
        return None


def _digests(spark: SparkSession, files: Sequence[RawFile]) -> dict[str, str]:
    """Return the digests of footers by path, from one job; broken files are absent."""
    content = spark.read.format("binaryFile").load([literal_path(file.path) for file in files])
    rows = content.select("path", "content").mapInArrow(_digest_batches, "path STRING, digest STRING").collect()
    return {row["path"]: row["digest"] for row in rows}


def _digest_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        found: dict[str, str] = {}
        for path, content in zip(batch.column("path"), batch.column("content"), strict=True):
            try:
                found[path.as_py()] = _digest(pq.ParquetFile(pa.BufferReader(content.as_buffer())))
            except pa.ArrowException:
                continue
        yield pa.RecordBatch.from_pydict(
            {"path": pa.array(found.keys(), pa.string()), "digest": pa.array(found.values(), pa.string())}
        )


def _digest(file: pq.ParquetFile) -> str:
    """Return the digest of what decides about the types of the columns."""
    entries = file.metadata.metadata or {}
    parts = [str(file.schema).partition("\n")[2].encode(), *(entries.get(name, b"") for name in TYPE_ENTRIES)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _file_schema(spark: SparkSession, file: RawFile, mapped: Mapping[str, str]) -> StructType:
    """Return the columns of a file; only mapped ones where Spark cannot infer the types."""
    try:
        return spark.read.parquet(literal_path(file.path)).schema
    except SPARK_ERRORS:
        try:
            footer = pq.ParquetFile(io.BytesIO(_footer(spark, file)))
        except pa.ArrowException:
            footer = None
        if footer is None:
            raise
    leaves = [footer.schema.column(place) for place in range(len(footer.schema.names))]
    uuids = {leaf.path for leaf in leaves if leaf.logical_type.type == "UUID"}
    tops = {raw if raw in footer.schema_arrow.names else raw.partition(".")[0] for raw in mapped.values()}
    columns = [column for column in footer.schema_arrow if column.name in tops]
    try:
        return StructType([_field(column, column.name in uuids) for column in columns])
    except PySparkTypeError as error:
        raise ConfigError(
            f"source.columns: {file.uri} has a column of a type that Spark does not read ({error}): "
            "write it as another type"
        ) from None


def _footer(spark: SparkSession, file: RawFile) -> bytes:
    """Return the end of a file, which holds its schema.

    It is a few hundred bytes for each column of each row group.
    """
    content = spark.read.format("binaryFile").load(literal_path(file.path))

    def last(size: int) -> bytes:
        row = content.select(F.substring("content", -size, size)).first()
        return b"" if row is None else bytes(row[0])

    end = last(FOOTER_BYTES)
    # The last eight bytes are the length of the rest and a mark.
    size = int.from_bytes(end[-8:-4], "little") + 8
    return end if size <= len(end) else last(size)


def _field(column: pa.Field, is_uuid: bool) -> StructField:
    """Return a column as Spark can read it, with the logical type in its metadata."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if is_uuid:
        return StructField(column.name, BinaryType(), metadata={LOGICAL_TYPE: "uuid"})
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        zoned = "nanoseconds" if kind.tz is None else "nanoseconds_utc"
        return StructField(column.name, LongType(), metadata={LOGICAL_TYPE: zoned})
    if pa.types.is_unsigned_integer(kind):
        return StructField(column.name, UNSIGNED[kind.bit_width])
    return StructField(column.name, from_arrow_type(kind))
