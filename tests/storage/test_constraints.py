"""Constraints of tables, compared with the code that writes rows, and in both engines."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError
from optuna.trial import TrialState
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from recsys_spark.config.load import load_config
from recsys_spark.config.source import SourceKind
from recsys_spark.core.paths import local_path
from recsys_spark.gender.suppressions import GENDER_SCOPES, KEY_SCOPE
from recsys_spark.ingestion.file_states import FileState
from recsys_spark.preparation.held_out_pairs import ROLES
from recsys_spark.ranking.scorer import Origin
from recsys_spark.runtime.report import RunStatus
from recsys_spark.storage.constraints import COUNTS, MINIMUM, NULLABLE, VALUES, checks
from recsys_spark.storage.local_tables import create_table
from recsys_spark.storage.schemas import TABLES
from recsys_spark.storage.tables import Tables
from tests.dbt_tables import GOOD_ROWS, write_tables

GOOD = ("als-1", "als", "u", 1, "i", 0.5, "model")
BAD = {
    "user_id": (*GOOD[:2], None, *GOOD[3:]),
    "position": (*GOOD[:3], 0, *GOOD[4:]),
    "score": (*GOOD[:5], float("nan"), "model"),
    "origin": (*GOOD[:6], "guess"),
}


def test_listed_values_are_those_that_the_jobs_write() -> None:
    written = {
        ("plays", "kind"): get_args(SourceKind),
        ("ingested_files", "status"): [state.value for state in FileState],
        ("splits", "part"): {part for roles in ROLES.values() for part in roles},
        ("recommendations", "origin"): [origin.name.lower() for origin in Origin],
        ("trials", "state"): [s.name.lower() for s in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)],
        ("suppressions", "scope"): {*GENDER_SCOPES, KEY_SCOPE},
        ("job_runs", "status"): get_args(RunStatus),
    }
    assert {place: set(values) for place, values in VALUES.items()} == {k: set(v) for k, v in written.items()}


def test_constraints_name_columns_that_exist() -> None:
    named = [(table, name) for lists in (NULLABLE, COUNTS) for table, text in lists.items() for name in text.split()]
    named += [*VALUES, *MINIMUM, *((table, column) for table in TABLES for column in checks(table))]
    assert [(table, column) for table, column in named if column not in TABLES[table].types] == []


def test_good_rows_fulfil_the_conditions_of_every_table(tmp_path: Path) -> None:
    write_tables(tmp_path / "tables.duckdb", GOOD_ROWS)
    with duckdb.connect(str(tmp_path / "tables.duckdb")) as database:
        found = database.sql("SELECT table_schema, table_name FROM information_schema.tables").fetchall()
        schemas = {name: schema for schema, name in found}
        for table in TABLES:
            conditions = checks(table) | {
                f"{name} not null": f"{name} IS NOT NULL"
                for name in TABLES[table].types.keys() - TABLES[table].nullable
            }
            for name, condition in conditions.items():
                # A null counts as violated.
                rows = database.sql(f"SELECT count(*) FROM {schemas[table]}.{table} WHERE ({condition}) IS NOT TRUE")
                assert rows.fetchall() == [(0,)], f"{table}.{name}: {condition}"


def test_nulls_are_admitted_by_name_where_a_column_may_be_null() -> None:
    assert checks("ingested_files")["rows_read"] == "rows_read IS NULL OR rows_read >= 0"
    assert checks("ingested_files")["status"] == "status IN ('started', 'ingested', 'refused')"
    assert checks("gender_predictions") == {
        "known_items": "known_items >= 0",
        "probability": "probability BETWEEN 0 AND 1",
    }
    assert checks("items") == {}


def rows_of(*rows: tuple[Any, ...]) -> pa.Table:
    """Return rows of recommendations as another engine has them."""
    types = {"INT": pa.int32(), "DOUBLE": pa.float64(), "STRING": pa.string()}
    schema = pa.schema([(name, types[sql_type]) for name, sql_type in TABLES["recommendations"].types.items()])
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


def first_commit(folder: Path) -> dict[str, Any]:
    """Return the actions of a table's first commit by kind."""
    lines = (folder / "_delta_log" / f"{0:020}.json").read_text().splitlines()
    return {kind: action for line in lines for kind, action in json.loads(line).items()}


# Types are parsed by Spark.
@pytest.mark.usefixtures("spark")
def test_a_table_of_delta_rs_refuses_nulls_in_one_commit_and_needs_no_newer_writer(tmp_path: Path) -> None:
    folder = tmp_path / "recommendations"
    create_table(folder, TABLES["recommendations"], "{}")
    assert DeltaTable(folder).version() == 0
    assert first_commit(folder)["protocol"] == {"minReaderVersion": 1, "minWriterVersion": 2}
    with pytest.raises(DeltaError, match="Invalid data found"):
        write_deltalake(folder, rows_of(GOOD, BAD["user_id"]), mode="append")
    write_deltalake(folder, rows_of(GOOD), mode="append")
    assert DeltaTable(folder).to_pyarrow_table().num_rows == 1


@pytest.fixture
def schema(spark: SparkSession) -> Iterator[str]:
    """Yield the name of a new schema and drop the schema with its tables afterwards."""
    yield "constraint_tests"
    spark.sql("DROP SCHEMA IF EXISTS constraint_tests CASCADE")


def test_a_table_of_a_catalog_refuses_bad_rows_of_both_engines(
    spark: SparkSession, schema: str, tmp_path: Path
) -> None:
    config = load_config(["--tables.schema", schema, "--files.root", str(tmp_path)], {})
    tables, name = Tables(spark, config, "run", "job"), "recommendations"
    tables.append_rows(name, [GOOD])
    folder = local_path(f"{spark.catalog.getDatabase(schema).locationUri}/{name}")
    assert folder is not None
    assert first_commit(folder)["protocol"] == {"minReaderVersion": 1, "minWriterVersion": 3}
    assert tables.version(name) == 1, "the constraints are part of the first commit"
    for column, row in BAD.items():
        with pytest.raises(Py4JJavaError, match=rf"constraint {column}|for column: {column}"):
            tables.append_rows(name, [row])
        with pytest.raises(DeltaError, match="Invalid data found"):
            write_deltalake(folder, rows_of(GOOD, row), mode="append")
    write_deltalake(folder, rows_of((*GOOD[:3], 2, *GOOD[4:])), mode="append")
    assert tables.read(name).count() == 2
    by_duckdb = DeltaTable(folder).to_pyarrow_dataset().scanner().to_reader()
    with duckdb.connect() as database:
        database.register("found", by_duckdb)
        assert database.execute("SELECT count(*), max(position) FROM found").fetchall() == [(2, 2)]
