"""Splitting of lines at a literal separator, also one with a meaning in regular expressions."""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys_spark.ingestion.reader import split_fields


@pytest.mark.parametrize("separator", ["\t", ",", ";", "::", "x", "0", *r".$|()[{^?*+\]}-", r"\E", "\u2028", "é"])
def test_a_separator_is_literal_and_fields_are_exact(spark: SparkSession, separator: str) -> None:
    rows = [["A", " B ", "C\u0301"], ["A", "", "C"], ["A", "B"], ["", "", ""], ["A", "B", "C", "D"]]
    lines = spark.createDataFrame([(n, separator.join(row)) for n, row in enumerate(rows)], "n INT, raw STRING")
    lines = lines.withColumns({"source_file": F.col("n").cast("string"), "problem": F.lit(None).cast("string")})
    found = split_fields(lines, separator, ("one", "two", "three")).collect()
    by_row = {int(row["source_file"]): (row["problem"], row["one"], row["two"], row["three"]) for row in found}
    assert by_row[0] == (None, "A", " B ", "C\u0301")
    assert by_row[1] == (None, "A", None, "C")
    assert by_row[3] == (None, None, None, None)
    assert [by_row[place][0] for place in (2, 4)] == ["wrong_column_count"] * 2
