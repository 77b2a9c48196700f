"""JSON rows: one spelling of numbers, exactly one object a row, nested keys, arrays, missing keys."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark.core.errors import ConfigError
from tests.parsed_rows import check, play_rows

Write = Callable[..., Path]


def test_a_whole_number_has_one_spelling_and_text_stays_as_it_is(spark: SparkSession, write: Write) -> None:
    ids = ["7", "7.0", "7.00", "7e0", '"7.0"', "7.50", "1.5e3", "12345678901234567890", "true", '"a b"', "0", '"null"']
    lines = [f'{{"user_id": {value}, "item_id": "i", "n": 3.0, "age": 25.0}}' for value in ids]
    folder = write("a.jsonl", "\n".join(lines)).parent
    columns = {"play_count": "n", "age": "age"}
    rows = play_rows(spark, folder, "play_count", "age", kind="totals", columns=columns, null_values=())
    expected = ["7"] * 4 + ["7.0", "7.5", "1500", "12345678901234567890", "true", "a b", "0", "null"]
    assert rows == sorted([(user, "i", 3, 25, None) for user in expected], key=str)


def test_epoch_times_may_be_whole_floating_point_numbers(spark: SparkSession, write: Write) -> None:
    times = ["1709287200000", "1709287200000.0", "1.7092872e12", '"1709287200000.0"', "1709287200999.5"]
    folder = write("a.jsonl", "\n".join(f'{{"user_id": "u", "item_id": "i", "at": {at}}}' for at in times)).parent
    settings = {"columns": {"played_at": "at"}, "time_format": "epoch_millis"}
    assert play_rows(spark, folder, "played_at", **settings) == [("u", "i", 1709287200, None)] * len(times)


def test_a_line_with_more_than_one_object_is_refused(spark: SparkSession, write: Write) -> None:
    first, second = '{"user_id": "u1", "item_id": "a"}', '{"user_id": "u2", "item_id": "b"}'
    after = [first + second, first + " x", first + "]", first + "}", first + "," + second]
    broken = ["nonsense", "[" + first + "]", '{"user_id": "u1", "item', '"text"', "3", "null"]
    folder = write("a.jsonl", "\n".join([*after, *broken, f"  {second}  "])).parent
    rows = play_rows(spark, folder)
    assert sorted(reason or "" for _, _, reason in rows) == ["", *["not_json"] * 6, *["text_after_json"] * 5]
    assert ("u2", "b", None) in rows


def test_lists_and_objects_are_no_ids_unless_lists_are_items(spark: SparkSession, write: Write) -> None:
    items = ['["a", 2.0]', '{"id": "a"}', '"["', "[]", "null"]
    folder = write("a.jsonl", "\n".join(f'{{"user_id": "u", "item_id": {item}}}' for item in items)).parent
    nested, missing = "nested_item_id", "missing_item_id"
    reasons = sorted(row[2] or "" for row in play_rows(spark, folder))
    assert reasons == ["", missing, nested, nested, nested]
    rows = play_rows(spark, folder, item_lists=True)
    assert [row[1:] for row in rows if row[2] is None] == [("2", None), ("[", None), ("a", None)]
    assert sorted(row[2] for row in rows if row[2] is not None) == [missing, missing, nested]


def test_columns_may_be_paths_and_files_may_be_arrays(spark: SparkSession, write: Write) -> None:
    row = {"who": {"name": "ann"}, "song": {"ids": {"mbid": "m1"}}, "song.title": "By a dot", "song.list": [1]}
    other = {"who": {"name": "bob"}, "song": {"ids": "none"}}
    columns = {"user_id": "who.name", "item_id": "song.ids.mbid", "item_name": "song.title"}
    expected = [("ann", "m1", "By a dot", None), ("bob", None, None, "missing_item_id")]
    folder = write("array/a.json", json.dumps([row, other], indent=1)).parent
    assert play_rows(spark, folder, "item_name", columns=columns, multi_line=True) == expected
    check(spark, folder, columns=columns, multi_line=True)
    with pytest.raises(ConfigError, match=r"source\.multi_line"):
        check(spark, folder, columns=columns)
    folder = write("lines/a.json", f"{json.dumps(row)}\n{json.dumps(other)}\n").parent
    assert play_rows(spark, folder, "item_name", columns=columns) == expected
    broken = write("broken/a.json", f"{json.dumps([row])}{json.dumps([row])}").parent
    assert [line[-1] for line in play_rows(spark, broken, columns=columns, multi_line=True)] == ["not_json"]


def test_mapped_keys_that_no_row_has_are_named(spark: SparkSession, write: Write) -> None:
    folder = write(
        "a.jsonl", '{"user_id": "u", "item_id": "i", "gender": null}\n{"user_id": "v", "item_id": "i"}\n'
    ).parent
    columns = {"played_at": "at", "item_name": "song.title", "gender": "gender"}
    with pytest.raises(ConfigError) as error:
        check(spark, folder, columns=columns)
    assert "source.columns.played_at: no row of the JSON files has 'at'" in str(error.value)
    assert "'song.title'" in str(error.value) and "gender" not in str(error.value)
    write("b.jsonl", '{"user_id": "u", "item_id": "i", "at": 1709287200, "song": {"title": "x"}}\n')
    check(spark, folder, columns=columns)
    # Text without any object is refused row by row.
    check(spark, write("c/a.jsonl", "nonsense\n").parent, columns=columns)
