"""Generated reference pages, compared with the code."""

import runpy

import pytest

from recsys_spark.storage.descriptions import COLUMNS, ROWS
from recsys_spark.storage.schemas import TABLES
from tests.system.test_layers import ROOT

GENERATOR = runpy.run_path(str(ROOT / "docs" / "generate_reference.py"))
PAGES: dict[str, str] = GENERATOR["pages"]()


@pytest.mark.parametrize("page", PAGES)
def test_page_is_up_to_date(page):
    written = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    assert written == PAGES[page], "run: python docs/generate_reference.py"


def test_every_table_and_column_is_described():
    assert ROWS.keys() == TABLES.keys()
    missing = [
        (name, column) for name, table in TABLES.items() for column in table.types if column not in COLUMNS[name]
    ]
    assert missing == []


def test_jobs_declare_tables_that_exist():
    names = {table for job in GENERATOR["all_jobs"]() for table in (*job.reads, *job.writes)}
    files = {
        "raw files",
        "shards",
        "model files",
        "HTML file",
        "data sets",
        "results.jsonl",
        "results.md",
        "results folder",
    }
    assert names - TABLES.keys() == files | {"tables of its steps"}
