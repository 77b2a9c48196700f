"""Tables that delta-rs creates and appends to, against those of Spark."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.load import load_config
from recsys_spark.core.errors import ConfigError
from recsys_spark.storage import table_access
from recsys_spark.storage.commits import history
from recsys_spark.storage.local_log import local_history, local_table_id
from recsys_spark.storage.local_tables import can_write
from recsys_spark.storage.schemas import TABLES
from recsys_spark.storage.tables import Tables

PLAIN = "a b-c_d.e +=1,"
AWKWARD = "ü 名 'q' \"d\" [x]{y,z}*? 100%20 #;"
NOW = datetime(2024, 2, 29, 12, 30, 45, 123456, tzinfo=UTC)
RUN = ("run-1", "a_job", NOW, NOW, "done", 0, {"rows": 3, "größe": 2**40}, "{}", "{}", "{}", None)


def open_tables(spark: SparkSession, root: Path) -> Tables:
    return Tables(spark, load_config(["--tables.root", str(root)], {}), "run-1", "a_job")


def test_other_characters_than_those_of_plain_paths_are_left_to_spark(tmp_path: Path) -> None:
    for name in (PLAIN, *AWKWARD.replace(" ", "")):
        (tmp_path / name).mkdir(exist_ok=True)
        assert can_write(tmp_path / name) is (name == PLAIN or (name.isascii() and name.isalnum()) or name == ",")


def test_both_ways_make_the_same_tables(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for root, by_spark in ((tmp_path / PLAIN / "one", False), (tmp_path / "other", True)):
        root.mkdir(parents=True)
        if by_spark:
            monkeypatch.setattr(table_access, "can_write", lambda _: False)
        tables = open_tables(spark, root)
        for name in TABLES:
            tables.ensure(name)
        assert tables.append_rows("job_runs", [RUN]) == 1
        assert tables.append_rows("job_runs", [RUN, (*RUN[:6], {}, *RUN[7:])]) == 2
        details = {}
        for name in TABLES:
            found_detail = spark.sql(f"DESCRIBE DETAIL {tables.sql_address(name)}")
            detail = found_detail.select("properties", "minReaderVersion", "partitionColumns").first()
            assert detail is not None
            details[name] = (detail.asDict(), spark.read.format("delta").load(f"{root}/{name}").schema.json())
        rows = spark.read.format("delta").load(f"{root}/job_runs").orderBy(F.size("rows").desc()).collect()
        by_log = local_history(root / "job_runs")
        assert by_log == history(spark, tables.sql_address("job_runs")) and by_log[:2] == local_history(
            root / "job_runs", 2
        )
        engine = json.loads((root / "plays/_delta_log/00000000000000000000.json").read_text().splitlines()[0])
        assert ("delta-rs" in engine["commitInfo"]["engineInfo"]) is not by_spark
        assert (
            tables.table_id("plays") == spark.sql(f"DESCRIBE DETAIL {tables.sql_address('plays')}").collect()[0]["id"]
        )
        found.append((details, rows, [(c.version, c.operation.split()[0], c.metadata) for c in by_log]))
    assert found[0] == found[1]
    assert found[0][1][0]["rows"] == {"rows": 3, "größe": 2**40} and found[0][1][0]["started_at"] is not None


def test_a_folder_with_other_files_is_refused_and_a_killed_creation_is_repeated(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "plays").mkdir()
    (tmp_path / "plays" / "notes.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match="cannot be created as a Delta table"):
        open_tables(spark, tmp_path).ensure("plays")
    (tmp_path / "users" / "_delta_log").mkdir(parents=True)
    open_tables(spark, tmp_path).ensure("users")
    assert open_tables(spark, tmp_path).read("users").count() == 0


def test_a_history_ends_where_a_commit_is_missing(spark: SparkSession, tmp_path: Path) -> None:
    tables = open_tables(spark, tmp_path)
    for _ in range(4):
        tables.append_rows("job_runs", [RUN])
    assert [commit.version for commit in local_history(tmp_path / "job_runs")] == [4, 3, 2, 1, 0]
    (tmp_path / "job_runs" / "_delta_log" / f"{2:020}.json").unlink()
    assert [commit.version for commit in local_history(tmp_path / "job_runs")] == [4, 3]


def test_a_commit_without_information_stays_in_the_history(tmp_path: Path) -> None:
    log = tmp_path / "_delta_log"
    log.mkdir()
    for version, line in enumerate(('{"commitInfo":{"operation":"WRITE","userMetadata":"text"}}', '{"add":{}}')):
        (log / f"{version:020}.json").write_text(line)
    assert local_history(tmp_path) == [(1, "", {}), (0, "WRITE", {})]
    assert all(commit.changes_rows for commit in local_history(tmp_path))
    assert local_table_id(tmp_path) is None
