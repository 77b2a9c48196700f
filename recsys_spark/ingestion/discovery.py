"""Raw files with address, size and time, listed by Spark on any file system."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from recsys_spark.core.errors import MissingInputError
from recsys_spark.core.paths import literal_path

__all__ = ["RawFile", "changed_files", "list_files", "present_files", "utc_time"]

# Suffixes by which Hadoop finds the codec. That of .zst needs a native library.
COMPRESSIONS = (".gz", ".bz2", ".zst", ".deflate", ".lz4", ".snappy", ".xz")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, order=True)
class RawFile:
    """Version of a raw file, identified by absolute URI, size in bytes and modification time."""

    uri: str
    path: str
    size: int
    modified_at: datetime

    @property
    def name(self) -> str:
        """Return the last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def data_name(self) -> str:
        """Return the lower-case name without the suffix of a compression that Spark reads."""
        name = self.name.lower()
        return next((name.removesuffix(suffix) for suffix in COMPRESSIONS if name.endswith(suffix)), name)

    @property
    def identity(self) -> tuple[str, int, datetime]:
        """Return what is equal for two sightings of the same version of a file."""
        return self.uri, self.size, self.modified_at

    @property
    def modified_micros(self) -> int:
        """Return the modification time in microseconds since 1970."""
        return (self.modified_at - EPOCH) // timedelta(microseconds=1)


def list_files(spark: SparkSession, path: str) -> list[RawFile]:
    """Return the files at a path, below a folder, or matching a glob, sorted.

    Hidden files (`_x`, `.x`) are left out. The list grows with the number of raw files, independent of their rows.
    Raises MissingInputError when there is no file.
    """
    pattern = literal_path(path) if Path(path).exists() else path
    try:
        found = (
            spark.read.format("binaryFile")
            .option("recursiveFileLookup", "true")
            .load(pattern)
            .select("path", "_metadata.file_path", "_metadata.file_size", "modificationTime")
            .selectExpr("*", "unix_micros(modificationTime) AS modified_micros")
            .collect()
        )
    except AnalysisException as error:
        if error.getCondition() == "PATH_NOT_FOUND":
            raise MissingInputError(
                f"source.path {path!r} does not exist: check the path, or generate a sample with generate_sample"
            ) from None
        raise
    if not found:
        raise MissingInputError(
            f"source.path {path!r} holds no files, or only empty ones: deliver files there, or correct the path"
        )
    return sorted(
        RawFile(row["file_path"], row["path"], row["file_size"], utc_time(row["modified_micros"])) for row in found
    )


def present_files(spark: SparkSession, path: str) -> list[RawFile]:
    """Return the files of `list_files`, or an empty list when there is none."""
    try:
        return list_files(spark, path)
    except MissingInputError:
        return []


def changed_files(planned: Sequence[RawFile], present: Sequence[RawFile]) -> list[RawFile]:
    """Return the planned files that changed or vanished."""
    identities = {file.identity for file in present}
    return [file for file in planned if file.identity not in identities]


def utc_time(micros: int) -> datetime:
    """Return the UTC time of a number of microseconds since 1970.

    A timestamp that Spark collects would be in the machine's time zone.
    """
    return EPOCH + timedelta(microseconds=micros)
