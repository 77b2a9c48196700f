"""Interface of source formats: roles of files, and rows as text fields.

A reader only splits rows into fields. The meaning of the fields and the reasons to refuse a row are the same for all
formats (parsing.py).
"""

import re
from collections.abc import Sequence
from typing import ClassVar, Literal

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.source import SourceSettings
from recsys_spark.core.names import FORMATS, load_named
from recsys_spark.core.paths import literal_path
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.encodings import decode

__all__ = [
    "ITEM_FIELDS",
    "NAME_PREFIX",
    "PLAY_FIELDS",
    "USER_FIELDS",
    "Reader",
    "Role",
    "attribute_map",
    "last_lines",
    "literal_pattern",
    "load_reader",
    "read_lines",
    "split_fields",
    "with_named_items",
]

Role = Literal["plays", "users", "items"]

PLAY_FIELDS = (
    "user_id",
    "item_id",
    "item_name",
    "play_count",
    "rating",
    "played_at",
    "gender",
    "age",
    "country",
)
USER_FIELDS = ("user_id", "gender", "age", "country")
ITEM_FIELDS = ("item_id", "name")
# Beginning of the ids of items that have only a name.
NAME_PREFIX = "name:"


class Reader:
    """Base class of source formats.

    Subclasses define `kind`, `role` and the readings (plays, users, items) of the roles that occur. Each reading
    returns the format's fields as STRING columns (absent fields may be left out) and
    - `raw`: the row as in the file, or as close to it as possible,
    - `source_file`: the file's absolute URI,
    - `problem`: the reason why the row could not be split into fields, else null.
    Users and items may have `attributes`, a MAP<STRING,STRING>.
    """

    kind: Literal["events", "totals", "ratings"] = "events"
    timed: bool = False
    rating_range: ClassVar[tuple[float, float] | None] = None
    unrated_value: ClassVar[float | None] = None

    def __init__(self, settings: SourceSettings) -> None:
        self.settings = settings

    def role(self, file: RawFile) -> Role | None:
        """Return the content of a file; None for a file that is not of the format."""
        raise NotImplementedError

    def check(self, spark: SparkSession, files: Sequence[RawFile]) -> None:
        """Raise ConfigError when the settings cannot fit the files, e.g. name a missing column."""

    def plays(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read the rows of the plays files."""
        raise NotImplementedError

    def fault_if_empty(self, file: RawFile, line: str | None) -> str | None:
        """Return the fault of a file without rows; None if it may be empty.

        line: the header, "" if all lines are blank, None for a file without any line.
        """
        return "has blank lines alone" if line == "" else None

    def users(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read the rows of the users files."""
        raise NotImplementedError

    def items(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read the rows of the items files."""
        raise NotImplementedError


def read_lines(
    spark: SparkSession, files: Sequence[RawFile], encoding: str = "UTF-8", whole_files: bool = False
) -> DataFrame:
    """Read lines as `raw`, with `source_file` and `problem` (bytes that are invalid in the encoding).

    A line ends at LF, CR LF or CR. Empty lines are skipped. With `whole_files` each file is one line.
    """
    lines = spark.read.text([literal_path(file.path) for file in files], wholetext=whole_files).select(
        F.col("value"), F.col("_metadata.file_path").alias("source_file")
    )
    # Replacing invalid bytes could make two ids equal: such rows are refused.
    text, is_invalid = decode(F.col("value"), encoding)
    # The length in octets needs no decoding.
    return lines.where(F.octet_length("value") > 0).select(
        text.alias("raw"), "source_file", F.when(is_invalid, F.lit("invalid_encoding")).alias("problem")
    )


def last_lines(spark: SparkSession, files: Sequence[RawFile]) -> dict[str, str]:
    """Return the greatest line of each file by its URI, trimmed.

    Files without rows have nothing but blank lines and a header, of which the header is the greatest. Files without any
    line are absent.
    """
    lines = spark.read.text([literal_path(file.path) for file in files])
    greatest = lines.groupBy(F.col("_metadata.file_path")).agg(F.max(F.trim(F.make_valid_utf8("value"))))
    # One line a file, of files without rows.
    return {uri: line for uri, line in greatest.collect()}


def split_fields(lines: DataFrame, separator: str, names: Sequence[str]) -> DataFrame:
    """Split `raw` at a literal separator into exactly the named fields.

    There is no quoting. Empty fields become null.
    """
    parts = F.split(F.col("raw"), literal_pattern(separator), -1)
    return (
        lines.withColumn("parts", parts)
        .withColumn(
            "problem",
            F.coalesce(F.col("problem"), F.when(F.size("parts") != len(names), F.lit("wrong_column_count"))),
        )
        .select("raw", "source_file", "problem", *[_field(position, name) for position, name in enumerate(names)])
    )


def attribute_map(*names: str) -> Column:
    """Return the named columns as a MAP<STRING,STRING> without nulls."""
    pairs = F.create_map(*[part for name in names for part in (F.lit(name), F.col(name))])
    return F.map_filter(pairs, lambda _, value: value.isNotNull())


def with_named_items(rows: DataFrame, ids: Sequence[Column], creator: Column, title: Column) -> DataFrame:
    """Add item_id, the first id that a row has, and item_name, creator and title.

    The id of an item without one is `name:` and the name.
    """
    name = F.nullif(F.concat_ws(" - ", creator, title), F.lit(""))
    item_id = F.coalesce(*ids, F.when(title.isNotNull(), F.concat(F.lit(NAME_PREFIX), name)))
    return rows.withColumns({"item_name": name, "item_id": item_id})


def _field(position: int, name: str) -> Column:
    return F.nullif(F.get("parts", F.lit(position)), F.lit("")).alias(name)


def literal_pattern(separator: str) -> str:
    """Return a regular expression for a literal.

    Java splits at a single escaped character without compiling a pattern for every row; at a quotation (\\Q...\\E) it
    compiles one.
    """
    return re.sub(r"\W", r"\\\g<0>", separator, flags=re.ASCII)


def load_reader(source_format: str) -> type[Reader]:
    """Return the reader class of a source format; KeyError for an unknown one."""
    loaded: type[Reader] = load_named(FORMATS[source_format])
    return loaded
