"""Records of delimited files: their text as it stands in the file, and its fields.

A record is a line, or several lines where quoted fields hold line breaks.
"""

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.source import SourceSettings
from recsys_spark.core.paths import literal_path
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.encodings import BYTES, bytes_as_text, decode
from recsys_spark.ingestion.reader import literal_pattern, read_lines, split_fields

__all__ = ["BYTE_ORDER_MARK", "REPLACEMENT", "read_records", "split_quoted", "split_records"]

CORRUPT = "__corrupt"
# The limit of Spark's parser is 20,480. A longer line would end the job.
MAX_COLUMNS = 20_000
BYTE_ORDER_MARK = "\ufeff"
REPLACEMENT = "\ufffd"


def read_records(spark: SparkSession, files: Sequence[RawFile], settings: SourceSettings, delimiter: str) -> DataFrame:
    """Read records as `raw`, with `source_file` and `problem` (bytes that are invalid in the encoding).

    Blank lines are skipped. A byte order mark at the beginning of a line is left out: files are often concatenated.
    """
    by_line = settings.is_read_by_line
    read = read_lines(spark, files, settings.encoding) if by_line else _read_whole(spark, files, settings, delimiter)
    raw = F.when(F.startswith("raw", F.lit(BYTE_ORDER_MARK)), F.substring("raw", 2, 2**31 - 1)).otherwise(F.col("raw"))
    return read.withColumn("raw", raw).where(F.trim("raw") != "")


def split_records(records: DataFrame, settings: SourceSettings, delimiter: str, names: Sequence[str]) -> DataFrame:
    """Split `raw` into exactly the named fields; a record that cannot be split has a problem.

    Empty fields become null.
    """
    if settings.quote is None:
        return split_fields(records, delimiter, names)
    torn = F.when(_is_torn(settings, settings.quote, delimiter), F.lit(_reason_if_torn(settings)))
    problem = torn.when(_has_backslash_quotes(settings, delimiter), F.lit("backslash_before_quote (source.escape)"))
    known = records.withColumn("problem", F.coalesce("problem", problem))
    return split_quoted(known, _options(settings), delimiter, names)


def split_quoted(records: DataFrame, options: Mapping[str, str], delimiter: str, names: Sequence[str]) -> DataFrame:
    """Split `raw` by Spark's CSV parser into exactly the named fields.

    A record without a problem that cannot be split gets the problem wrong_column_count. Empty fields become null.
    """
    schema = ", ".join(f"{name} STRING" for name in [*names, CORRUPT])
    fits = _fits_parser(delimiter)
    parser = {**options, "sep": delimiter, "columnNameOfCorruptRecord": CORRUPT}
    fields = records.withColumn("fields", F.from_csv(F.when(fits, F.col("raw")), schema, parser))
    wrong = F.when(~fits | F.col(f"fields.{CORRUPT}").isNotNull(), F.lit("wrong_column_count"))
    return fields.withColumn("problem", F.coalesce("problem", wrong)).select(
        "raw", "source_file", "problem", *[F.col(f"fields.{name}") for name in names]
    )


def _read_whole(spark: SparkSession, files: Sequence[RawFile], settings: SourceSettings, delimiter: str) -> DataFrame:
    """Read each file by one task, which finds the ends of records outside quotes.

    The only declared column accepts `true` and `false` alone: Spark then returns the text of every other record.
    """
    # Bytes are decoded here where possible: Spark's reader does not tell invalid bytes from a valid U+FFFD.
    bytewise = settings.extends_ascii
    rows = (
        spark.read.schema(f"only BOOLEAN, {CORRUPT} STRING")
        .options(**_options(settings))
        .option("sep", bytes_as_text(delimiter, settings.encoding) if bytewise else delimiter)
        .option("encoding", BYTES if bytewise else settings.encoding)
        .option("multiLine", True)
        .option("columnNameOfCorruptRecord", CORRUPT)
        .csv([literal_path(file.path) for file in files])
        .select(
            F.coalesce(CORRUPT, F.col("only").cast("string")).alias("raw"),
            F.col("_metadata.file_path").alias("source_file"),
        )
    )
    if bytewise:
        raw, is_invalid = decode(F.encode("raw", BYTES), settings.encoding)
    else:
        raw, is_invalid = F.col("raw"), F.contains("raw", F.lit(REPLACEMENT))
    return rows.select(raw.alias("raw"), "source_file", F.when(is_invalid, F.lit("invalid_encoding")).alias("problem"))


def _options(settings: SourceSettings) -> dict[str, str]:
    """Return the options of Spark's CSV parser; an empty quote means no quoting."""
    return {"mode": "PERMISSIVE", "quote": settings.quote or "", "escape": settings.escape}


def _fits_parser(delimiter: str) -> Column:
    """Return True for a record with so few columns that Spark's parser does not fail."""
    without = F.octet_length(F.replace("raw", F.lit(delimiter), F.lit("")))
    delimiters = (F.octet_length("raw") - without) / len(delimiter.encode())
    # The first condition needs no other text: a column takes a delimiter at least.
    return (F.octet_length("raw") < MAX_COLUMNS) | (delimiters < MAX_COLUMNS)


def _is_torn(settings: SourceSettings, quote: str, delimiter: str) -> Column:
    """Return True for a line that begins or ends inside a quoted field.

    Such a line has an odd number of quotes, one of them at the border of a field. A single quote within an unquoted
    field (`7" single`) is part of its value.
    """
    raw, mark = F.col("raw"), F.lit(quote)
    if settings.escape == quote:
        unescaped = raw
    else:
        without_pairs = F.replace(raw, F.lit(settings.escape * 2), F.lit(""))
        unescaped = F.replace(without_pairs, F.lit(settings.escape + quote), F.lit(""))
    is_odd = (F.octet_length(unescaped) - F.octet_length(F.replace(unescaped, mark, F.lit("")))) % 2 == 1
    at_border = (
        F.startswith(raw, mark)
        | F.endswith(raw, mark)
        | F.contains(raw, F.lit(delimiter + quote))
        | F.contains(raw, F.lit(quote + delimiter))
    )
    return F.contains(raw, mark) & is_odd & at_border


def _reason_if_torn(settings: SourceSettings) -> str:
    if settings.is_read_by_line:
        return "line_break_in_quotes (source.multi_line)"
    return "quote_without_end (source.quote)"


def _has_backslash_quotes(settings: SourceSettings, delimiter: str) -> Column:
    """Return True where a backslash precedes a quote without being the escape character."""
    if settings.escape == "\\" or settings.quote != '"':
        return F.lit(False)
    border = literal_pattern(delimiter)
    return F.contains("raw", F.lit('\\"')) & F.col("raw").rlike(rf'(^|{border})"[^"]*\\"(?!{border}|"|\z)')
