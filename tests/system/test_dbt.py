"""Tests of deploy/dbt: its sources equal the code, and dbt runs their tests on small tables in DuckDB.

`make check-dbt` fetches dbt into .venv-dbt; without it the tests that run dbt are skipped.
"""

import json
import os
import runpy
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pytest
import yaml

from recsys_spark.publish.publication import VIEWS
from recsys_spark.storage.schemas import TABLES
from tests.dbt_tables import GOOD_ROWS, write_tables
from tests.documents import ROOT

PROJECT = ROOT / "deploy" / "dbt"
DBT = ROOT / ".venv-dbt" / "bin" / "dbt"
GENERATOR = runpy.run_path(str(ROOT / "docs" / "generate_dbt.py"))
CONTENT = yaml.safe_load(GENERATOR["sources"]())
VIEW_NAMES = {f"current_{name}" for name in VIEWS}

needs_dbt = pytest.mark.skipif(not DBT.exists(), reason=".venv-dbt is missing: make check-dbt creates it")
ABSENT = ["suppressions", "trials"]


class Check(NamedTuple):
    """A test of a source: its kind, the table, and the columns."""

    kind: str
    table: str
    columns: tuple[str, ...]


TWO_LISTS = Check("unique_combination", "current_recommendations", ("user_id", "position"))
# Rows that are added to the good ones, each with the one test that it fails.
BROKEN_ROWS: list[tuple[str, dict[str, Any], Check]] = [
    ("plays", {"event_id": "e2"}, Check("unique_combination", "plays", ("event_id", "source"))),
    ("plays", {"event_id": "e3", "user_id": "nobody"}, Check("relationships", "plays", ("user_id",))),
    (
        "ingested_files",
        {"batch_id": 3, "status": "ingested", "rows_valid": 1, "rows_duplicate": 0, "rows_quarantined": 0},
        Check("not_null", "ingested_files", ("rows_read",)),
    ),
    ("ingested_files", {"batch_id": 4, "status": "lost"}, Check("accepted_values", "ingested_files", ("status",))),
    ("user_index", {"user_id": "u1", "user_idx": 7}, Check("unique", "user_index", ("user_id",))),
    (
        "interactions",
        {"user_idx": 1, "item_idx": 1, "play_count": 0},
        Check("at_least", "interactions", ("play_count",)),
    ),
    (
        "recommendations",
        {"model_version": "lsa-1", "position": 2, "item_id": "i2", "origin": None},
        Check("not_null", "recommendations", ("origin",)),
    ),
    # A second version that serves gives a user a second list.
    ("models", {"model_version": "ease-1", "algorithm": "ease", "serves": ["recommendations"]}, TWO_LISTS),
    ("recommendations", {"model_version": "ease-1", "algorithm": "ease"}, TWO_LISTS),
]


def test_the_sources_are_up_to_date():
    written = (PROJECT / "models" / "sources.yml").read_text(encoding="utf-8")
    assert written == GENERATOR["sources"](), "run: python docs/generate_dbt.py"


def test_every_table_view_and_column_is_described():
    (source,) = CONTENT["sources"]
    columns = {table["name"]: [column["name"] for column in table["columns"]] for table in source["tables"]}
    assert columns.keys() == TABLES.keys() | VIEW_NAMES
    assert {name: columns[name] for name in TABLES} == {name: list(table.types) for name, table in TABLES.items()}
    described = [entry["description"] for table in source["tables"] for entry in (table, *table["columns"])]
    assert all(described)
    assert "similar_item_name" in columns["current_item_similarity"]


def test_guarantees_name_columns_that_exist():
    columns = {name: set(table.types) for name, table in TABLES.items()}
    columns |= {f"current_{name}": set(GENERATOR["view_columns"](name)) for name in VIEWS}
    named = [(table, column) for table, keys in GENERATOR["KEYS"].items() for key in keys for column in key]
    named += [(table, column) for table, text in GENERATOR["NULLABLE"].items() for column in text.split()]
    for places in ("VALUES", "MINIMUM", "REFERENCES", "FILLED_WHERE"):
        named += GENERATOR[places]
    named += GENERATOR["REFERENCES"].values()
    assert [(table, column) for table, column in named if column not in columns[table]] == []


def build(
    folder: Path, tables: dict[str, list[dict[str, Any]]], absent: list[str]
) -> tuple[dict[str, str], set[Check]]:
    """Run `dbt build` on tables; return the status of each node, and the tests that failed."""
    write_tables(folder / "tables.duckdb", tables)
    profile = {"type": "duckdb", "path": str(folder / "tables.duckdb"), "threads": 1}
    profiles = {"recsys": {"target": "test", "outputs": {"test": profile}}}
    (folder / "profiles.yml").write_text(yaml.safe_dump(profiles))
    places = ["--project-dir", str(PROJECT), "--profiles-dir", str(folder)]
    places += ["--target-path", str(folder / "target"), "--log-path", str(folder / "logs")]
    # A warning is an error, such as one of a form that dbt is about to drop.
    command = [str(DBT), "--warn-error", "build", *places, "--vars", json.dumps({"recsys_absent": absent})]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout[-3000:] + done.stderr[-3000:]
    results = json.loads((folder / "target" / "run_results.json").read_text())["results"]
    nodes = json.loads((folder / "target" / "manifest.json").read_text())["nodes"]
    statuses = {result["unique_id"]: result["status"] for result in results}
    assert "error" not in statuses.values(), done.stdout[-3000:]
    return statuses, {check_of(nodes[name]) for name, status in statuses.items() if status == "fail"}


def check_of(node: dict[str, Any]) -> Check:
    """Return the test of a source that a node of the manifest stands for."""
    kind, arguments = node["test_metadata"]["name"], node["test_metadata"]["kwargs"]
    # A relationship depends on the table that it names first.
    table = node["sources"][-1][1]
    return Check(kind, table, tuple(arguments.get("columns", [arguments.get("column_name")])))


@needs_dbt
@pytest.mark.slow
def test_the_tables_of_the_product_pass(tmp_path):
    assert GOOD_ROWS.keys() == TABLES.keys() and all(GOOD_ROWS.values())
    statuses, failed = build(tmp_path, GOOD_ROWS, [])
    assert failed == set() and set(statuses.values()) == {"pass", "success"}
    assert len(statuses) > 150
    with duckdb.connect(str(tmp_path / "tables.duckdb")) as database:
        rows = database.execute("SELECT * FROM main.top_items ORDER BY plays DESC").fetchall()
    assert rows == [("i1", "One", 3, 2), ("i2", None, 1, 1)]


@needs_dbt
@pytest.mark.slow
def test_each_broken_row_fails_its_test_and_tables_may_be_absent(tmp_path):
    tables = {name: list(rows) for name, rows in GOOD_ROWS.items() if name not in ABSENT}
    for table, row, _ in BROKEN_ROWS:
        tables[table].append(row)
    statuses, failed = build(tmp_path, tables, ABSENT)
    assert failed == {check for *_, check in BROKEN_ROWS}
    assert statuses["model.recsys.top_items"] == "skipped"
    assert not any("recsys_trials" in name for name in statuses)
