"""Tables in runs: pinned versions, lineage, replacement by scope, readers other than Spark."""

import json
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.load import load_config
from recsys_spark.core.errors import ConfigError, MissingInputError, WriteConflictError
from recsys_spark.storage.commits import METADATA_CONF
from recsys_spark.storage.schemas import TABLES
from recsys_spark.storage.tables import Tables
from tests.conftest import Workspace

AWKWARD = "a b ü 名 'q' \"d\" [x]{y,z}*? 100%20 #+=1;"

Open = Callable[..., Tables]


@pytest.fixture
def open_tables(spark: SparkSession, tmp_path: Path) -> Open:
    """Return a function that opens the tables of the test in a new run."""

    def make(run_id: str = "run-1", root: Path | None = None, *flags: str) -> Tables:
        config = load_config(["--tables.root", str(root or tmp_path / "tables"), *flags], {})
        return Tables(spark, config, run_id, "some_job")

    return make


def users(spark: SparkSession, *ids: str) -> DataFrame:
    """Return rows of user_index."""
    return spark.createDataFrame([(name, number) for number, name in enumerate(ids)], "user_id STRING, user_idx INT")


def ids(rows: DataFrame) -> list[str]:
    """Return the user_ids of a frame, sorted."""
    return sorted(row["user_id"] for row in rows.select("user_id").collect())


def history(spark: SparkSession, path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return (operation, user metadata) of each commit from SQL, oldest first."""
    rows = spark.sql(f"DESCRIBE HISTORY delta.`{path}`").orderBy("version").collect()
    return [(row["operation"], json.loads(row["userMetadata"] or "{}")) for row in rows]


def test_a_run_reads_one_version_whatever_others_commit(spark: SparkSession, open_tables: Open) -> None:
    writer, reader = open_tables("writer"), open_tables("reader")
    writer.append("user_index", users(spark, "a"))
    seen = reader.read("user_index")
    pinned = dict(reader.inputs)
    writer.append("user_index", users(spark, "b"))
    assert ids(seen) == ids(reader.read("user_index")) == ["a"]
    assert reader.data_version("user_index") == pinned["user_index"]
    assert reader.inputs == pinned == {"user_index": 1}
    assert ids(open_tables("later").read("user_index")) == ["a", "b"]
    reader.append("user_index", users(spark, "c"))
    assert ids(reader.read("user_index")) == ["a", "b", "c"], "a run reads its own commits"
    assert (reader.inputs, reader.outputs) == ({"user_index": 3}, {"user_index": 3})


def test_under_its_lock_a_table_is_read_as_it_is_now(spark: SparkSession, open_tables: Open) -> None:
    writer, changer = open_tables("writer"), open_tables("changer")
    writer.append("user_index", users(spark, "a"))
    assert ids(changer.read("user_index")) == ["a"]
    writer.append("user_index", users(spark, "b"))
    with changer.lock("user_index"):
        assert ids(changer.read("user_index")) == ["a", "b"]


def test_a_missing_table_names_the_job_that_makes_it(open_tables: Open) -> None:
    with pytest.raises(MissingInputError, match=r"plays does not exist: run ingest_plays first"):
        open_tables().read("plays")
    assert open_tables().built_from("item_similarity", "als-1") is None


def test_the_key_of_data_is_a_version_until_a_table_is_created_again(
    spark: SparkSession, open_tables: Open, tmp_path: Path
) -> None:
    for root in (tmp_path / "one", tmp_path / "other"):
        tables = open_tables("run-1", root)
        tables.overwrite("user_index", users(spark, "a"))
        assert tables.data_key("user_index") == tables.data_key("user_index", "item_index") == 1
    shutil.rmtree(tmp_path / "one" / "user_index")
    tables = open_tables("run-2", tmp_path / "one")
    tables.overwrite("user_index", users(spark, "b"))
    tables.ensure("users")
    again = tables.table_id("user_index")
    assert tables.data_key("user_index") == f"1-{again}" and tables.data_key("users") == 0
    assert tables.data_key("users", "user_index") == f"0-{again}"
    assert open_tables("run-3", tmp_path / "one").data_key("user_index") == f"1-{again}"


def test_the_data_version_skips_maintenance(spark: SparkSession, open_tables: Open, tmp_path: Path) -> None:
    path = tmp_path / "tables" / "user_index"
    for name in ("a", "b"):
        open_tables().append("user_index", users(spark, name))
    DeltaTable.forPath(spark, str(path)).optimize().executeCompaction()
    spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('kept_by' = 'us')")
    tables = open_tables()
    assert tables.version("user_index") == 4
    assert tables.data_version("user_index") == 2
    tables.append("user_index", users(spark, "c"))
    assert tables.data_version("user_index") == 5


def test_commits_carry_the_run_its_job_and_its_inputs(spark: SparkSession, open_tables: Open, tmp_path: Path) -> None:
    open_tables("first").append("user_index", users(spark, "a"))
    tables = open_tables("second")
    rows = tables.read("user_index").selectExpr("user_id AS item_id", "user_idx AS item_idx")
    spark.conf.set(METADATA_CONF, "of the notebook's owner")
    try:
        tables.append("item_index", rows, note="why")
        assert spark.conf.get(METADATA_CONF) == "of the notebook's owner"
    finally:
        spark.conf.unset(METADATA_CONF)
    expected = {"run_id": "second", "job": "some_job", "inputs": {"user_index": 1}}
    assert history(spark, tmp_path / "tables" / "item_index") == [
        ("CREATE TABLE", expected),
        ("WRITE", {**expected, "note": "why"}),
    ]
    assert tables.commits("item_index")[0] == (1, "WRITE", {**expected, "note": "why"})


def test_a_transaction_is_committed_once_and_an_empty_one_counts(spark: SparkSession, open_tables: Open) -> None:
    tables = open_tables()
    first = tables.append("user_index", users(spark, "a"), ("app", 7))
    assert open_tables("again").append("user_index", users(spark, "a"), ("app", 7)) == first
    assert tables.append("user_index", users(spark, "older"), ("app", 6)) == first
    tables.append("user_index", users(spark, "b"), ("app", 8))
    tables.append("user_index", users(spark, "c"), ("another app", 1))
    tables.append("user_index", users(spark), ("app", 9))
    tables.append("user_index", users(spark, "too late"), ("app", 9))
    assert ids(tables.read("user_index")) == ["a", "b", "c"]


def test_replace_touches_its_scope_alone_and_its_fingerprint_is_found(spark: SparkSession, open_tables: Open) -> None:
    def vectors(version: str, *numbers: float) -> DataFrame:
        rows = [(version, index, [float(number)]) for index, number in enumerate(numbers)]
        return spark.createDataFrame(rows, "model_version STRING, item_idx INT, vector ARRAY<FLOAT>")

    tables = open_tables()
    tables.replace("item_vectors", vectors("als-1", 1, 2), "model_version", "als-1", fingerprint="one")
    tables.replace("item_vectors", vectors("als-2", 5), "model_version", "als-2", fingerprint="two")
    tables.replace("item_vectors", vectors("als-1", 3), "model_version", "als-1", fingerprint="three")
    rows = tables.read("item_vectors").orderBy("model_version").collect()
    assert [(row["model_version"], row["vector"]) for row in rows] == [("als-1", [3.0]), ("als-2", [5.0])]
    found = [tables.built_from("item_vectors", version) for version in ("als-1", "als-2", "als-3")]
    assert found == ["three", "two", None]
    with pytest.raises(ValueError, match="invalid id"):
        tables.replace("item_vectors", vectors("x"), "model_version", "x' OR '1' = '1")


def test_merge_updates_inserts_and_deletes_by_key(spark: SparkSession, open_tables: Open) -> None:
    tables = open_tables()
    tables.append("user_index", users(spark, "a", "b", "gone"))
    changes = spark.createDataFrame([("b", 11), ("c", 12)], "user_id STRING, user_idx INT")
    update = {"user_idx": "new.user_idx"}
    gone = users(spark, "gone", "never").select("user_id")
    tables.merge("user_index", changes, ("user_id",), update, "new.user_idx > 100", gone)
    assert {tuple(row) for row in tables.read("user_index").collect()} == {("a", 0), ("b", 1), ("c", 12)}
    tables.merge("user_index", changes, ("user_id",), update)
    tables.delete("user_index", "user_id", "a")
    assert {tuple(row) for row in tables.read("user_index").collect()} == {("b", 11), ("c", 12)}


def test_a_foreign_table_at_the_address_is_refused_and_left_alone(
    spark: SparkSession, open_tables: Open, tmp_path: Path
) -> None:
    root = tmp_path / "tables"
    spark.range(2).write.parquet(str(root / "plays"))
    (root / "items").write_text("not a table")
    foreign = {
        "users": spark.range(1).selectExpr("'u' AS user_id", "'Ann' AS name"),
        "user_index": spark.range(1).selectExpr("'u' AS user_id", "id AS user_idx"),
        "item_index": spark.range(1).selectExpr("1 AS item_idx"),
    }
    for name, rows in foreign.items():
        rows.write.format("delta").save(str(root / name))
    for name in ("plays", "items", *foreign):
        with pytest.raises(ConfigError, match=name):
            open_tables().ensure(name)
    for name, rows in foreign.items():
        with pytest.raises(ConfigError, match=r"unexpected schema .* choose another tables\.root"):
            open_tables().read(name)
        assert spark.read.format("delta").load(str(root / name)).columns == rows.columns
    assert spark.read.parquet(str(root / "plays")).count() == 2


@pytest.mark.parametrize(
    "left", [(), (".00000000000000000000.json.6d1c.tmp", ".00000000000000000000.json.6d1c.tmp.crc")]
)
def test_a_table_that_was_killed_before_its_first_commit_is_made(
    open_tables: Open, tmp_path: Path, left: tuple[str, ...]
) -> None:
    log = tmp_path / "tables" / "job_runs" / "_delta_log"
    log.mkdir(parents=True)
    for name in left:
        (log / name).touch()
    tables = open_tables()
    tables.ensure("job_runs")
    assert tables.read("job_runs").count() == 0 and tables.version("job_runs") == 0


def test_a_table_of_an_earlier_release_gains_the_new_columns_and_keeps_its_rows(
    spark: SparkSession, open_tables: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_tables().append("user_index", users(spark, "old"))
    longer = TABLES["user_index"].columns + ", region STRING, since TIMESTAMP"
    monkeypatch.setitem(TABLES, "user_index", replace(TABLES["user_index"], columns=longer))
    tables = open_tables("newer")
    assert tables.read("user_index").collect() == [("old", 0, None, None)], "readers need no upgrade"
    new = users(spark, "new").selectExpr("*", "'Alps' AS region", "TIMESTAMP '2024-01-01' AS since")
    tables.append("user_index", new)
    found = {(row["user_id"], row["region"]) for row in tables.read("user_index").collect()}
    assert found == {("old", None), ("new", "Alps")}
    assert tables.read_version("user_index", 1).columns == ["user_id", "user_idx", "region", "since"]
    operations = [operation for _, operation, _ in tables.commits("user_index")]
    assert operations == ["WRITE", "ADD COLUMNS", "WRITE", "CREATE TABLE"]


def test_a_commit_lost_to_a_writer_without_lock_is_a_conflict(
    spark: SparkSession, open_tables: Open, tmp_path: Path
) -> None:
    tables = open_tables()
    tables.append("user_index", users(spark, "a", "b"))
    reading, changed = tmp_path / "reading", tmp_path / "changed"

    def slowly(number: int) -> int:
        reading.touch()
        while not changed.exists():
            time.sleep(0.05)
        return number

    def change_meanwhile() -> None:
        while not reading.exists():
            time.sleep(0.05)
        DeltaTable.forPath(spark, str(tmp_path / "tables" / "user_index")).delete("user_id = 'a'")
        changed.touch()

    other = threading.Thread(target=change_meanwhile)
    other.start()
    rows = users(spark, "b").withColumn("user_idx", F.udf(slowly, "int")("user_idx"))
    with pytest.raises(WriteConflictError, match="run again"):
        tables.merge("user_index", rows, ("user_id",), {"user_idx": "new.user_idx"})
    other.join()


def test_configurations_with_different_files_root_share_locks(open_tables: Open, tmp_path: Path) -> None:
    flags = ("--tables.lock_timeout_seconds", "0")
    first = open_tables("first", None, *flags, "--files.root", str(tmp_path / "one"))
    second = open_tables("second", None, *flags, "--files.root", str(tmp_path / "two"))
    with first.lock("plays"), pytest.raises(WriteConflictError), second.lock("plays"):
        pytest.fail("two runs hold one table")


def test_awkward_roots_hold_tables(spark: SparkSession, open_tables: Open, tmp_path: Path, monkeypatch: Any) -> None:
    root = tmp_path / AWKWARD
    open_tables("one", root).append("user_index", users(spark, "a"))
    longer = TABLES["user_index"].columns + ", region STRING"
    monkeypatch.setitem(TABLES, "user_index", replace(TABLES["user_index"], columns=longer))
    tables = open_tables("two", root)
    new = users(spark, "b").withColumn("region", F.lit("Alps"))
    tables.replace("user_index", new, "user_id", "b")
    assert ids(tables.read("user_index")) == ["a", "b"]
    assert (tables.version("user_index"), tables.data_version("user_index")) == (3, 3)
    assert (root / "user_index" / "_delta_log").is_dir()


@pytest.fixture(scope="module")
def ingested(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root with an awkward name, with ingested plays and all other tables empty.

    Jobs address it by a `file:` URI.
    """
    from recsys_spark.jobs import build_interactions, ingest_plays

    # delta-rs cannot open a folder with `%20` in its name.
    base = tmp_path_factory.mktemp("awkward") / AWKWARD.replace("%20", "")
    raw = base / "raw"
    raw.mkdir(parents=True)
    (raw / "a.csv").write_text("user_id,item_id,at\nu,i,2024-01-01T10:00:00Z\nü,'j',2024-01-02\nbroken,,\n")
    flags = ["--source.format", "plays", "--source.columns.played_at", "at", "--source.max_quarantine_share", "1"]
    root = ["--tables.root", f"file://{base}/tables"]
    assert ingest_plays.main([*root, "--source.path", str(raw), *flags]) == 0
    assert build_interactions.main(root) == 0
    tables = Tables(spark, load_config(root, {}), "run", "job")
    for name in TABLES:
        tables.ensure(name)
    return base / "tables"


def test_a_file_uri_is_one_place_for_tables_and_files(ingested: Path) -> None:
    assert {path.name for path in ingested.iterdir()} == {*TABLES, "_files", "_locks"}
    assert not list((ingested / "_files" / "staging").iterdir())
    assert not Path("file:").exists()


def test_tables_need_only_the_first_reader_version(ingested: Path) -> None:
    for name in TABLES:
        actions = [json.loads(line) for line in (ingested / name / "_delta_log" / f"{0:020}.json").open()]
        protocol = next(action["protocol"] for action in actions if "protocol" in action)
        settings = next(action["metaData"]["configuration"] for action in actions if "metaData" in action)
        assert settings["delta.enableDeletionVectors"] == "false", name
        assert settings.get("delta.columnMapping.mode", "none") == "none"
        assert protocol["minReaderVersion"] == 1, name


def test_delta_rs_reads_every_table_as_spark_does(spark: SparkSession, ingested: Path) -> None:
    deltalake = pytest.importorskip("deltalake")
    for name in TABLES:
        found = deltalake.DeltaTable(str(ingested / name)).to_pyarrow_table()
        assert found.column_names == TABLES[name].schema.fieldNames()
        expected = spark.read.format("delta").load(str(ingested / name))
        assert found.num_rows == expected.count(), name
    plays = deltalake.DeltaTable(str(ingested / "plays")).to_pyarrow_table().to_pylist()
    assert {(row["user_id"], row["item_id"], row["played_at"].isoformat()) for row in plays} == {
        ("u", "i", "2024-01-01T10:00:00+00:00"),
        ("ü", "'j'", "2024-01-02T00:00:00+00:00"),
    }
    runs = deltalake.DeltaTable(str(ingested / "job_runs")).to_pyarrow_table().to_pylist()
    rows = {row["job"]: dict(row["rows"]) for row in runs}
    assert rows["ingest_plays"]["valid"] == 2 and rows["build_interactions"]["interactions"] == 2


def test_duckdb_reads_the_arrow_stream_of_delta_rs(ingested: Path) -> None:
    deltalake, duckdb = pytest.importorskip("deltalake"), pytest.importorskip("duckdb")
    plays = deltalake.DeltaTable(str(ingested / "plays")).to_pyarrow_dataset().scanner().to_reader()
    assert duckdb.sql("SELECT sum(play_count), count(DISTINCT user_id) FROM plays").fetchall() == [(2, 2)]
    assert plays is not None


def test_a_root_with_a_backtick_is_refused_before_spark_starts(workspace: Workspace, tmp_path: Path) -> None:
    outcome = workspace.run("build_interactions", "--tables.root", tmp_path / "back`tick")
    assert outcome.code == 2 and "backtick" in outcome.stderr
