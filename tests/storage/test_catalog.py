"""Tables in a catalog: the calls of path tables, views, and several processes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config.load import load_config
from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.core.paths import local_path
from recsys_spark.jobs import build_interactions
from recsys_spark.runtime import session
from recsys_spark.storage.descriptions import ROWS, column_description
from recsys_spark.storage.locks import Locks
from recsys_spark.storage.schemas import TABLES
from recsys_spark.storage.tables import Tables
from tests.processes import SMALL

JOBS = Path(__file__).parents[2] / "jobs"
READER = """
import json, sys
from recsys_spark.config.load import load_config
from recsys_spark.runtime.session import spark_session

with spark_session(load_config(sys.argv[2:])) as spark:
    queries = json.loads(sys.argv[1])
    found = {name: [row.asDict() for row in spark.sql(query).collect()] for name, query in queries.items()}
print(json.dumps(found))
"""


@pytest.fixture
def schema(spark: SparkSession) -> Iterator[str]:
    """Yield the name of a new schema and drop the schema with its tables afterwards."""
    yield "music_tests"
    spark.sql("DROP SCHEMA IF EXISTS music_tests CASCADE")


def open_tables(spark: SparkSession, schema: str, tmp_path: Path) -> Tables:
    """Return the tables of a schema in a new run."""
    config = load_config(["--tables.schema", schema, "--files.root", str(tmp_path)], {})
    return Tables(spark, config, "run", "job")


def users(spark: SparkSession, *rows: tuple[str, int]) -> DataFrame:
    """Return rows of user_index."""
    return spark.createDataFrame(rows, "user_id STRING, user_idx INT")


@pytest.mark.parametrize("commits", [0, 1])
def test_an_interrupted_creation_before_registration_is_repeated(
    spark: SparkSession, schema: str, tmp_path: Path, commits: int
) -> None:
    spark.sql(f"CREATE SCHEMA {schema}")
    folder = local_path(f"{spark.catalog.getDatabase(schema).locationUri}/user_index")
    assert folder is not None
    if commits:
        columns = TABLES["user_index"].schema
        DeltaTable.create(spark).addColumns(columns).location(str(folder)).execute()
    else:
        (folder / "_delta_log").mkdir(parents=True)
    tables = open_tables(spark, schema, tmp_path)
    tables.append("user_index", users(spark, ("a", 0)))
    assert tables.read("user_index").count() == 1


def test_named_tables_are_pinned_replaced_merged_and_upgraded(
    spark: SparkSession, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables, reader = open_tables(spark, schema, tmp_path), open_tables(spark, schema, tmp_path)
    with pytest.raises(MissingInputError, match=r"music_tests\.user_index .* build_interactions first"):
        tables.read("user_index")
    for _ in range(2):
        tables.append("user_index", users(spark, ("a", 0), ("b", 1)), ("app", 1))
    assert reader.read("user_index").count() == 2
    tables.replace("user_index", users(spark, ("b", 7)), "user_id", "b", fingerprint="seven")
    tables.merge("user_index", users(spark, ("a", 9), ("c", 3)), ("user_id",), None)
    assert {tuple(row) for row in tables.read("user_index").collect()} == {("a", 0), ("b", 7), ("c", 3)}
    assert reader.read("user_index").count() == 2 and reader.inputs == {"user_index": 1}
    assert tables.built_from("user_index", "b") == "seven"
    longer = TABLES["user_index"].columns + ", region STRING"
    monkeypatch.setitem(TABLES, "user_index", replace(TABLES["user_index"], columns=longer))
    tables.ensure("user_index")
    tables.create_view("user_index", f"SELECT * FROM {tables.address('user_index')} WHERE user_idx > 0")
    assert {tuple(row) for row in spark.table(f"{schema}.current_user_index").collect()} == {
        ("b", 7, None),
        ("c", 3, None),
    }
    described = spark.sql(f"DESCRIBE TABLE EXTENDED {schema}.user_index").collect()
    comments = {row["col_name"]: row["comment"] or row["data_type"] for row in described}
    assert comments["user_id"] == column_description("user_index", "user_id")
    assert {row["col_name"]: row["data_type"] for row in described}["Comment"] == ROWS["user_index"]
    view = {row[0]: row[1] for row in spark.sql(f"DESCRIBE TABLE EXTENDED {schema}.current_user_index").collect()}
    assert view["Comment"].endswith("Rows of the serving version only.")


def test_a_foreign_table_of_the_same_name_is_refused_and_left_alone(
    spark: SparkSession, schema: str, tmp_path: Path
) -> None:
    spark.sql(f"CREATE SCHEMA {schema}")
    spark.sql(f"CREATE TABLE {schema}.users USING parquet AS SELECT 'u' AS user_id")
    spark.sql(f"CREATE TABLE {schema}.items USING delta AS SELECT 'i' AS item_id, 1.5 AS price")
    spark.sql(f"CREATE VIEW {schema}.plays AS SELECT 'u' AS user_id")
    for name in ("users", "items", "plays"):
        for call in (Tables.ensure, Tables.read):
            with pytest.raises(ConfigError, match=name):
                call(open_tables(spark, schema, tmp_path), name)
    assert spark.table(f"{schema}.items").columns == ["item_id", "price"]


def test_the_local_catalog_admits_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(session, "_existing_session", lambda: None)
    monkeypatch.setattr(session, "_local_session", lambda config: pytest.fail("its database would not open"))
    flags = ["--tables.schema", "music", "--files.root", str(tmp_path / "files"), "--tables.lock_timeout_seconds", "0"]
    with Locks(tmp_path / "house", 0).hold("the_local_catalog"):
        assert build_interactions.main([*flags, "--spark.warehouse", str(tmp_path / "house")]) == 6
    assert "tables.lock_timeout_seconds" in json.loads(capsys.readouterr().out)["error"]


def run(arguments: list[str], cwd: Path) -> dict[str, Any]:
    """Run a process that must succeed and return the last line of its output."""
    done = subprocess.run([sys.executable, *arguments], check=False, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3_000:]
    line: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return line


@pytest.mark.slow
def test_processes_share_a_catalog_and_its_views_give_names(tmp_path: Path) -> None:
    base = tmp_path / "a catalog of 名"
    base.mkdir()
    rows = [f"u{user},i{item},Song {item},{1 + user}" for user in range(8) for item in range(user % 2, 8, 2)]
    rows = [row for row in rows if not row.startswith(("u0,i0", "u1,i1"))]
    (base / "plays.csv").write_text("\n".join(["user_id,item_id,name,n", *rows, ""]))
    common = ["--tables.schema", "music", "--files.root", str(base / "files"), "--spark.warehouse", str(base / "house")]
    common += SMALL
    source = ["--source.format", "plays", "--source.kind", "totals", "--source.path", str(base / "plays.csv")]
    source += ["--source.columns.play_count", "n", "--source.columns.item_name", "name"]
    models = ["--models.als.rank", "3", "--models.als.max_iter", "3", "--models.als.blocks", "1"]

    line = run([str(JOBS / "ingest_plays.py"), *common, *source], base)
    assert line["rows"]["valid"] == len(rows)
    line = run(
        [str(JOBS / "run_pipeline.py"), *common, *source, *models, "--pipeline.from", "build_interactions"], base
    )
    assert line["rows"]["publish_model.als.tables_served"] == 2
    queries = {
        "plays": "SELECT count(*) AS n FROM music.plays",
        "similar": "SELECT * FROM music.current_item_similarity",
        "recommended": "SELECT * FROM music.current_recommendations WHERE user_id = 'u0' ORDER BY position",
        "jobs": "SELECT DISTINCT job, status FROM music.job_runs",
    }
    found = run(["-c", READER, json.dumps(queries), *common], base)
    assert found["plays"] == [{"n": len(rows)}]
    assert {row["status"] for row in found["jobs"]} == {"done"} and len(found["jobs"]) >= 6
    assert {row["algorithm"] for row in found["similar"] + found["recommended"]} == {"als"}
    for row in found["similar"]:
        assert row["item_name"] == f"Song {row['item_id'][1:]}"
        assert row["similar_item_name"] == f"Song {row['similar_item_id'][1:]}"
    assert {row["item_id"] for row in found["similar"]} == {f"i{item}" for item in range(8)}
    assert found["recommended"][0]["item_name"] == "Song 0", "of its parity, withheld"
    assert sorted(path.name for path in base.iterdir()) == ["files", "house", "plays.csv"]
