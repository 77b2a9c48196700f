"""JSON rows with mapped keys, which may lie inside other objects.

A row is a line, or an element of a file that is one JSON array.
"""

from collections.abc import Iterable, Mapping, Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.core.errors import ConfigError
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.reader import read_lines
from recsys_spark.ingestion.typed_values import double_text

__all__ = ["check_json_keys", "missing_keys", "read_json", "read_json_rows"]

# Rows of each task in which keys are looked for, before all rows are.
SAMPLED_ROWS = 1000
# The JSON parser stops behind the first value of a text. A key behind the row shows that the row was the whole text.
END = "end of row"
OBJECT = "MAP<STRING,VARIANT>"


def read_json_rows(spark: SparkSession, files: Sequence[RawFile], encoding: str, documents: bool) -> DataFrame:
    """Read rows as `raw`, with `source_file` and `problem`.

    documents: a file is one JSON array of rows, or one row; else each line is a row.
    """
    if not documents:
        return read_lines(spark, files, encoding)
    whole = read_lines(spark, files, encoding, whole_files=True)
    parsed = _parse("ARRAY<STRING>")
    elements = F.when(_is_whole(parsed) & parsed["row"].isNotNull(), parsed["row"]).otherwise(F.array("raw"))
    rows = whole.select(F.explode(elements).alias("raw"), "source_file", "problem")
    return rows.withColumn("raw", F.coalesce("raw", F.lit("null")))


def read_json(rows: DataFrame, mapped: Mapping[str, str], item_lists: bool = False) -> DataFrame:
    """Cut rows of read_json_rows into the fields of `mapped` as text.

    With `item_lists` a list of items becomes one row for each. A row that is no JSON object, is followed by more text,
    or has a list or an object in a field has a problem.
    """
    rows = rows.withColumn("parsed", _parse(OBJECT))
    # Named columns: a value is used several times, and must be found once.
    rows = rows.withColumns({_name(field): _value(F.col("parsed")["row"], raw) for field, raw in mapped.items()})
    texts, problems = [], [F.col("problem"), _problem(F.col("parsed"))]
    for field in mapped:
        value = F.col(_name(field))
        if field == "item_id" and item_lists:
            items = F.try_variant_get(value, "$", "array<variant>")
            items = F.when(_kind(value).startswith("ARRAY"), items).otherwise(F.array(value))
            texts.append(F.explode_outer(F.transform(items, _text)).alias(field))
            is_nested = _kind(value).startswith("OBJECT")
        else:
            texts.append(_text(value).alias(field))
            is_nested = _is_nested(value)
        problems.append(F.when(is_nested, F.lit(f"nested_{field}")))
    return rows.select("raw", "source_file", F.coalesce(*problems).alias("problem"), *texts)


def check_json_keys(rows: DataFrame, mapped: Mapping[str, str], documents: bool) -> None:
    """Raise ConfigError naming every mapped key that no row has.

    A row may leave out keys. Without any JSON object there is nothing to compare: read_json reports each row.
    """
    if not documents and _is_array(rows):
        raise ConfigError("source.path: files hold JSON arrays, not a row a line: set source.multi_line to true")
    missing = missing_keys(rows, mapped.values())
    if missing:
        advice = "correct the name, or leave the field out of the mapping"
        absent = [(field, raw) for field, raw in mapped.items() if raw in missing]
        raise ConfigError(*[f"source.columns.{f}: no row of the JSON files has {raw!r}: {advice}" for f, raw in absent])


def missing_keys(rows: DataFrame, keys: Iterable[str]) -> set[str]:
    """Return the keys that no row has; none if no row is a JSON object."""
    wanted, missing = list(dict.fromkeys(keys)), set[str]()
    for sample in (rows.limit(SAMPLED_ROWS), rows):
        objects = sample.select(_parse(OBJECT)["row"].alias("row")).where(F.col("row").isNotNull())
        found = objects.agg(*[F.bool_or(_has_key(F.col("row"), key)) for key in wanted]).first()
        missing = {key for key, present in zip(wanted, found or (), strict=False) if present is False}
        if not missing:
            break
    return missing


def _is_array(rows: DataFrame) -> bool:
    """Return True if the rows look like lines of a JSON array.

    One begins with a bracket, and at most one is an object.
    """
    sample = rows.limit(SAMPLED_ROWS).select("raw", _problem(_parse(OBJECT)).isNull().alias("is_row"))
    found = sample.agg(F.bool_or(F.ltrim("raw").startswith("[")), F.count_if("is_row")).first()
    return found is not None and bool(found[0]) and found[1] <= 1


def _parse(row_type: str) -> Column:
    text = F.concat(F.lit('{"row":'), F.col("raw"), F.lit(f',"{END}":0}}'))
    return F.from_json(text, f"row {row_type}, `{END}` INT")


def _is_whole(parsed: Column) -> Column:
    return F.coalesce(parsed[END].isNotNull(), F.lit(False))


def _problem(parsed: Column) -> Column:
    # The parser reads the first value of a text and ignores the rest.
    first = F.from_json("raw", OBJECT)
    return F.when(~_is_whole(parsed) & first.isNotNull(), F.lit("text_after_json")).when(
        ~_is_whole(parsed) | parsed["row"].isNull(), F.lit("not_json")
    )


def _value(row: Column, key: str) -> Column:
    """Return the VARIANT of a key, or else of a dotted path of keys."""
    first, *path = key.split(".")
    value = row[first]
    for name in path:
        value = F.try_variant_get(value, "$", OBJECT)[name]
    return F.coalesce(row[key], value) if path else value


def _has_key(row: Column, key: str) -> Column:
    """Return True if the key is there, even with a null."""
    first, *path = key.split(".")
    found, outer = F.map_contains_key(row, key), row[first]
    for place, name in enumerate(path):
        inner = F.try_variant_get(outer, "$", OBJECT)
        if place == len(path) - 1:
            found = found | F.coalesce(F.map_contains_key(inner, name), F.lit(False))
        outer = inner[name]
    return found


def _text(value: Column) -> Column:
    double = double_text(F.try_variant_get(value, "$", "double"))
    return F.when(_kind(value) == "DOUBLE", double).otherwise(F.try_variant_get(value, "$", "string"))


def _is_nested(value: Column) -> Column:
    return _kind(value).startswith("ARRAY") | _kind(value).startswith("OBJECT")


def _kind(value: Column) -> Column:
    return F.schema_of_variant(value)


def _name(field: str) -> str:
    return f"value_{field}"
