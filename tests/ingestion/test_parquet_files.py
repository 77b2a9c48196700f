"""Parquet values: one spelling of numbers over all types, nested values, nanoseconds, UUIDs, folders as columns."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from recsys_spark.core.errors import ConfigError
from recsys_spark.core.paths import local_path
from recsys_spark.ingestion import parquet_schemas
from recsys_spark.ingestion.discovery import list_files
from recsys_spark.ingestion.parquet_schemas import read_schemas
from recsys_spark.runtime.spark_context import started_jobs
from recsys_spark.storage.spark_errors import SPARK_ERRORS
from tests.conftest import Workspace
from tests.parsed_rows import check, parsed, play_rows

Write = Callable[..., Path]


def test_a_whole_number_has_one_spelling_in_every_type(spark: SparkSession, tmp_path: Path) -> None:
    types = [pa.int8(), pa.int64(), pa.uint64(), pa.float32(), pa.float64(), pa.decimal128(12, 0), pa.decimal128(12, 3)]
    types += [pa.string()]
    for number, kind in enumerate(types):
        value = Decimal(7) if pa.types.is_decimal(kind) else "7" if pa.types.is_string(kind) else 7
        ids = pa.array([value], kind)
        pq.write_table(pa.table({"user_id": ids, "item_id": ["i"]}), tmp_path / f"{number}.parquet")
    table = {"user_id": [123456789.0, 7.5, 1e300], "item_id": ["i"] * 3, "age": [25.0, 25.5, None]}
    pq.write_table(pa.table(table), tmp_path / "double.parquet")
    fraction = pa.array([Decimal("7.500"), Decimal("0.001"), Decimal("100.000")], pa.decimal128(12, 3))
    pq.write_table(pa.table({"user_id": fraction, "item_id": ["i"] * 3}), tmp_path / "decimal.parquet")
    users = [row[0] for row in play_rows(spark, tmp_path)]
    assert users == sorted(["7"] * len(types) + ["123456789", "7.5", "1.0E300", "7.5", "0.001", "100"])
    ages = play_rows(spark, tmp_path / "double.parquet", "age", columns={"age": "age"})
    assert sorted(row[2] or 0 for row in ages) == [0, 0, 25]


def test_files_of_one_schema_need_one_job_together(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        ids: list[float] | list[int] = [7.0] if number % 2 else [7]
        pq.write_table(pa.table({"user_id": ids, "item_id": ["i"]}), tmp_path / f"{number}.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no footer")
    files = list_files(spark, str(tmp_path))
    good = [file for file in files if file.name != "broken.parquet"]
    mapped = {"user_id": "user_id", "item_id": "item_id"}
    expected = {file.name: str(spark.read.parquet(file.path).schema) for file in good}
    for place in (local_path, lambda _: None):
        monkeypatch.setattr(parquet_schemas, "local_path", place)
        before = started_jobs(spark)
        found = {file.name: str(schema) for file, schema in read_schemas(spark, good, mapped).items()}
        assert found == expected
        assert started_jobs(spark) <= before + 1 + 3, "a job a schema, and one for all footers of other storage"
        with pytest.raises(SPARK_ERRORS):
            read_schemas(spark, files, mapped)


def test_a_number_is_one_user_in_files_of_different_types(workspace: Workspace, write: Write) -> None:
    folder = write("c.jsonl", '{"user_id": 7.0, "item_id": "i"}\n').parent
    for name, users in {"a": pa.array([7, 123456789]), "b": pa.array([7.0, 123456789.0])}.items():
        pq.write_table(pa.table({"user_id": users, "item_id": ["i", "j"]}), folder / f"{name}.parquet")
    source: list[object] = ["--source.format", "plays", "--source.path", folder]
    assert workspace.done("ingest_plays", *source).rows["valid"] == 5
    assert {row["user_id"] for row in workspace.table("users").collect()} == {"7", "123456789"}
    write("d.jsonl", '{"user_id": 8, "item_id": "i"}\n')
    outcome = workspace.run(
        "ingest_plays", *source, "--source.columns.played_at", "at", "--source.columns.item_name", "title"
    )
    assert outcome.code == 2, outcome.stdout
    assert "'at'" in outcome.stderr and "'title'" in outcome.stderr


def test_nested_values_are_no_fields_unless_lists_are_items(spark: SparkSession, tmp_path: Path) -> None:
    songs = [{"id": "s1", "tags": ["x"]}, {"id": "s2", "tags": None}]
    table = pa.table({"user_id": ["u", "v"], "item_id": [["a", "b"], None], "song": songs, "n": [[1.0, 2.5], []]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert play_rows(spark, tmp_path) == [("u", None, "nested_item_id"), ("v", None, "missing_item_id")]
    exploded = [("u", "a", None), ("u", "b", None), ("v", None, "missing_item_id")]
    assert play_rows(spark, tmp_path, item_lists=True) == exploded
    numbers = play_rows(spark, tmp_path, item_lists=True, columns={"item_id": "n"})
    assert numbers == [("u", "1", None), ("u", "2.5", None), ("v", None, "missing_item_id")]
    paths = play_rows(spark, tmp_path, columns={"item_id": "song.id", "gender": "song.tags"})
    assert paths == [("u", "s1", "nested_gender"), ("v", "s2", None)]
    with pytest.raises(ConfigError, match=r"'song\.name'"):
        check(spark, tmp_path, columns={"item_id": "song.name"})


def test_the_raw_text_of_a_refused_row_has_its_empty_fields(spark: SparkSession, tmp_path: Path) -> None:
    pq.write_table(pa.table({"user_id": pa.array([None], pa.string()), "item_id": ["k"]}), tmp_path / "a.parquet")
    rows = parsed(spark, tmp_path, "plays").select("raw", "reasons").collect()
    assert [tuple(row) for row in rows] == [('{"user_id":null,"item_id":"k"}', "missing_user_id")]


def test_nanoseconds_and_uuids_are_read(spark: SparkSession, tmp_path: Path) -> None:
    moment = 1709287200123456789
    naive, utc = pa.array([moment], pa.timestamp("ns")), pa.array([moment], pa.timestamp("ns", tz="UTC"))
    for name, at in (("naive", naive), ("utc", utc)):
        folder = tmp_path / name
        folder.mkdir()
        table = pa.table({"user_id": pa.array([7], pa.uint64()), "item_id": ["i"], "at": at, "unused": at})
        pq.write_table(table, folder / "a.parquet")
    columns = {"played_at": "at"}
    check(spark, tmp_path, columns=columns)
    expected = [("7", "i", datetime(2024, 3, 1, 10, 0, 0, tzinfo=UTC).timestamp(), None)]
    assert play_rows(spark, tmp_path / "utc", "played_at", columns=columns, timezone="Asia/Tokyo") == expected
    nine_hours = [("7", "i", expected[0][2] - 9 * 3600, None)]
    assert play_rows(spark, tmp_path / "naive", "played_at", columns=columns, timezone="Asia/Tokyo") == nine_hours
    rows = "SELECT '00112233-4455-6677-8899-AABBCCDDEEFF'::UUID AS user_id, {'id': 'i'} AS item"
    duckdb.sql(f"COPY ({rows}) TO '{tmp_path / 'uuid.parquet'}' (FORMAT parquet)")
    found = play_rows(spark, tmp_path / "uuid.parquet", columns={"item_id": "item.id"})
    assert found == [("00112233-4455-6677-8899-aabbccddeeff", "i", None)]
    with pytest.raises(ConfigError, match="'nothing'"):
        check(spark, tmp_path / "uuid.parquet", columns={"item_id": "nothing"})
    hours = pa.table({"user_id": pa.array([1], pa.time64("us")), "item_id": ["i"]})
    pq.write_table(hours, tmp_path / "hours.parquet")
    with pytest.raises(ConfigError, match="does not read"):
        check(spark, tmp_path / "hours.parquet")


def test_folders_with_a_name_and_a_value_are_columns(spark: SparkSession, tmp_path: Path, write: Write) -> None:
    place = "year=2024/country=New%20Zealand"
    folder = tmp_path / "raw" / place
    write(f"{place}/a.csv", "user_id,item_id\nann,i\n")
    pq.write_table(pa.table({"user_id": ["bob"], "item_id": ["i"]}), folder / "b.parquet")
    write("year=2024/country=__HIVE_DEFAULT_PARTITION__/c.jsonl", '{"user_id": "cat", "item_id": "i"}\n')
    columns = {"country": "country"}
    check(spark, tmp_path / "raw", columns=columns)
    assert play_rows(spark, tmp_path / "raw", "country", columns=columns) == [
        ("ann", "i", "New Zealand", None),
        ("bob", "i", "New Zealand", None),
        ("cat", "i", None, None),
    ]
