"""What every source format does: say which of its files hold what, and give their rows as text fields.

A reader only cuts rows into fields. What the fields mean, which rows are refused and why, is decided in
one place for all formats (validation.py), so a new format cannot invent rules of its own.
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

__all__ = [
    "ITEM_FIELDS",
    "PLAY_FIELDS",
    "USER_FIELDS",
    "Reader",
    "Role",
    "attribute_map",
    "load_reader",
    "read_lines",
    "split_fields",
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


class Reader:
    """One source format. Subclasses state `kind`, `roles` and the three readings.

    Each reading returns the format's fields as STRING columns (a field that is absent may be left out) and
    - `raw`: the row as it stood in the file, or as near as can be,
    - `source_file`: the file's absolute URI,
    - `problem`: why the row could not be cut into fields, else null;
    users and items may carry `attributes`, a MAP<STRING,STRING>.
    """

    kind: Literal["events", "totals", "ratings"] = "events"
    timed: bool = False
    rating_range: ClassVar[tuple[float, float] | None] = None

    def __init__(self, settings: SourceSettings) -> None:
        self.settings = settings

    def role(self, file: RawFile) -> Role | None:
        """What a file holds; None for one that the format does not know."""
        raise NotImplementedError

    def check(self, spark: SparkSession, files: Sequence[RawFile]) -> None:
        """Raises ConfigError when the settings cannot fit the files, e.g. a column that is not there."""

    def plays(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """The rows of the plays files."""
        raise NotImplementedError

    def users(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """The rows of the users files."""
        raise NotImplementedError

    def items(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """The rows of the items files."""
        raise NotImplementedError


def read_lines(spark: SparkSession, files: Sequence[RawFile], encoding: str = "UTF-8") -> DataFrame:
    """Lines as `raw`, with `source_file` and `problem` (bytes that are not of the encoding).

    A line ends at LF, CR LF or CR. Empty lines are no rows.
    """
    lines = spark.read.text([literal_path(file.path) for file in files]).select(
        F.col("value"), F.col("_metadata.file_path").alias("source_file")
    )
    if encoding == "UTF-8":
        # Replacing bad bytes could make two ids one: such rows are kept apart and refused.
        decoded, problem = F.expr("make_valid_utf8(value)"), F.expr("NOT is_valid_utf8(value)")
    else:
        decoded, problem = F.decode(F.col("value").cast("binary"), encoding), F.lit(False)
    # Octets need no decoding to be counted.
    return lines.where(F.octet_length("value") > 0).select(
        decoded.alias("raw"), "source_file", F.when(problem, F.lit("invalid_encoding")).alias("problem")
    )


def split_fields(lines: DataFrame, separator: str, names: Sequence[str]) -> DataFrame:
    """Cuts `raw` at a literal separator into exactly the named fields; no quoting. Empty fields become null."""
    parts = F.split(F.col("raw"), _pattern(separator), -1)
    return (
        lines.withColumn("parts", parts)
        .withColumn(
            "problem",
            F.coalesce(F.col("problem"), F.when(F.size("parts") != len(names), F.lit("wrong_column_count"))),
        )
        .select("raw", "source_file", "problem", *[_field(position, name) for position, name in enumerate(names)])
    )


def attribute_map(*names: str) -> Column:
    """The named columns as a MAP<STRING,STRING> without the empty ones."""
    pairs = F.create_map(*[part for name in names for part in (F.lit(name), F.col(name))])
    return F.map_filter(pairs, lambda _, value: value.isNotNull())


def _field(position: int, name: str) -> Column:
    return F.nullif(F.get("parts", F.lit(position)), F.lit("")).alias(name)


def _pattern(separator: str) -> str:
    """A regular expression for a literal: of a single character Java knows this form, and splits without compiling a
    pattern for every row, as it would with a quotation.
    """
    return re.sub(r"\W", r"\\\g<0>", separator, flags=re.ASCII)


def load_reader(source_format: str) -> type[Reader]:
    """Return the reader class of a source format; KeyError for an unknown one."""
    loaded: type[Reader] = load_named(FORMATS[source_format])
    return loaded
