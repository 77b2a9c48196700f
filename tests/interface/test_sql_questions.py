"""The questions of docs/how-to/sql-questions.md on Spark, DuckDB and Polars, with answers worked out by hand."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from recsys_spark import open_root
from recsys_spark.publish.publication import VIEWS
from recsys_spark.storage.schemas import TABLES

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "sql-questions.md"
BLOCKS = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
DEFINITIONS = {match[1]: match[2] for block in BLOCKS if (match := re.match(r"-- (\w+)\n(.*)", block, re.DOTALL))}
QUESTIONS = [block for block in BLOCKS if not block.startswith("-- ")]
VALUES = {"item": "Alpha", "user": "u2", "old": "als-1", "new": "als-2", "day": "2024-03-03"}
TYPES = {
    "STRING": pa.string(),
    "INT": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "ARRAY<STRING>": pa.list_(pa.string()),
    "MAP<STRING,STRING>": pa.map_(pa.string(), pa.string()),
    "MAP<STRING,DOUBLE>": pa.map_(pa.string(), pa.float64()),
    "MAP<STRING,BIGINT>": pa.map_(pa.string(), pa.int64()),
}


def at(day: int, hour: int = 0) -> datetime:
    """Return a time in March 2024."""
    return datetime(2024, 3, day, hour, tzinfo=UTC)


ROWS: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "plays": (
        "user_id item_id played_at ingested_at run_id",
        [
            ("u1", "a", at(1), at(3), "run-1"),
            ("u1", "b", at(1), at(3), "run-1"),
            ("u2", "a", at(2), at(3), "run-1"),
            ("u3", "a", at(2), at(3), "run-1"),
            ("u3", "c", at(2), at(3), "run-1"),
            ("u4", "a", at(3), at(6), "run-2"),
            ("u4", "d", None, at(6), "run-2"),
        ],
    ),
    "plays_quarantine": (
        "raw reasons ingested_at",
        [(",a", ["no_user", "odd"], at(3)), (",b", ["no_user"], at(3, 23)), (",c", ["no_user"], at(4))],
    ),
    "ingested_files": (
        "source_file status rows_read rows_quarantined run_id",
        [("file:/1", "ingested", 7, 0, "run-1"), ("file:/2", "refused", 9, 9, "run-2")],
    ),
    "users": ("user_id gender", [("u1", "f"), ("u2", "m"), ("u3", None), ("u4", None)]),
    "items": ("item_id name", [("a", "Alpha"), ("b", "Beta"), ("c", "Gamma"), ("d", "Delta")]),
    "models": (
        "model_version algorithm created_at serves published_at retired_at",
        [
            ("als-1", "als", at(4), [], at(4), at(5)),
            ("als-2", "als", at(5), ["item_similarity", "recommendations"], at(5), None),
            ("gender-1", "gender", at(5), ["gender_predictions"], at(5, 1), None),
        ],
    ),
    "item_similarity": (
        "model_version item_id position similar_item_id similarity",
        [("als-1", "a", 1, "d", 0.8), ("als-2", "a", 2, "c", 0.5), ("als-2", "a", 1, "b", 0.75)],
    ),
    "recommendations": (
        "model_version user_id position item_id score origin",
        [
            ("als-1", "u1", 1, "c", 0.5, "model"),
            ("als-1", "u1", 2, "a", 0.4, "model"),
            ("als-1", "u2", 1, "b", 0.5, "model"),
            ("als-1", "u2", 11, "c", 0.1, "model"),
            ("als-2", "u1", 1, "c", 0.5, "model"),
            ("als-2", "u2", 1, "c", 0.75, "model"),
            ("als-2", "u2", 2, "a", 0.25, "model"),
            ("als-2", "u3", 6, "a", 0.5, "popular"),
        ],
    ),
    "gender_predictions": (
        "model_version user_id gender probability",
        [("gender-1", "u3", "f", 0.75), ("gender-1", "u4", None, 0.5)],
    ),
    "evaluations": (
        "split_id part model_version metric slice value ci_low ci_high users",
        [
            ("s", "test", "als-1", "ndcg@10", "all", 0.25, 0.125, 0.5, 4),
            ("s", "test", "als-2", "ndcg@10", "all", 0.5, 0.25, 0.75, 4),
            ("s", "test", "als-2", "recall@10", "all", 0.5, 0.25, 0.75, 4),
        ],
    ),
    "job_runs": (
        "run_id job started_at status exit_code error",
        [("run-1", "ingest_plays", at(3), "done", 0, None), ("run-2", "ingest_plays", at(6), "failed", 3, "full")],
    ),
}
ANSWERS: list[list[tuple[Any, ...]]] = [
    [(1, "Beta", 0.75), (2, "Gamma", 0.5)],
    [(1, "Gamma", 0.75, "model"), (2, "Alpha", 0.25, "model")],
    [("u2", 2, 0.25)],
    [("a", "Alpha", 2), ("c", "Gamma", 2)],
    [(2, 4, 0.5)],
    [("model", 2, 3), ("popular", 1, 1)],
    [("b", 1), ("d", 1)],
    [
        ("gender-1", "gender", ["gender_predictions"], at(5), at(5, 1)),
        ("als-2", "als", ["item_similarity", "recommendations"], at(5), at(5)),
    ],
    [("als-2", "s", "ndcg@10", 0.5, 0.25, 0.75, 4), ("als-1", "s", "ndcg@10", 0.25, 0.125, 0.5, 4)],
    [(1, 3, 1 / 3)],
    [("u4", at(6))],
    [(at(1).date(), 2, 1), (at(2).date(), 3, 2), (at(3).date(), 1, 1)],
    [("a", "Alpha", 4, 4), ("b", "Beta", 1, 1), ("c", "Gamma", 1, 1), ("d", "Delta", 1, 1)],
    [(1, 1), (2, 3)],
    [(4, 1 + 0.75 + 0.5, (0.75 * 0.25 + 0.5 * 0.5) ** 0.5)],
    [("f", 1, 0.75), ("open", 1, 0.5)],
    [("no_user", 2, ",b"), ("odd", 1, ",a")],
    [("file:/2", "refused", 9, 9, "run-2")],
    [("run-2", "ingest_plays", at(6), "failed", 2), ("run-1", "ingest_plays", at(3), "done", 5)],
    [(at(6), "ingest_plays", 3, "full")],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with all tables of the questions."""
    root = tmp_path_factory.mktemp("questions")
    for name, (columns, rows) in ROWS.items():
        given = dict(zip(columns.split(), zip(*rows, strict=True), strict=True))
        types = TABLES[name].types
        arrays = [pa.array(given.get(column, [None] * len(rows)), TYPES[kind]) for column, kind in types.items()]
        write_deltalake(root / name, pa.Table.from_arrays(arrays, list(types)))
    return root


def plain(value: Any) -> Any:
    """Return a value as any engine could give it."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    return list(value) if isinstance(value, list | tuple) else value


def check(run: Callable[[str], list[tuple[Any, ...]]]) -> None:
    assert len(QUESTIONS) == len(ANSWERS) == 20
    for question, answer in zip(QUESTIONS, ANSWERS, strict=True):
        rows = [tuple(map(plain, row)) for row in run(question)]
        assert len(rows) == len(answer), question
        for row, right in zip(rows, answer, strict=True):
            for found, wanted in zip(row, right, strict=True):
                # Polars gives a share as a decimal of seven digits.
                is_number = isinstance(wanted, float)
                assert float(found) == pytest.approx(wanted, abs=1e-6) if is_number else found == wanted, question


def parameters(question: str) -> dict[str, str]:
    return {name: VALUES[name] for name in re.findall(r":(\w+)", question)}


def test_duckdb(folder: Path) -> None:
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    for name in ROWS:
        database.register(f"arrow_{name}", DeltaTable(folder / name).to_pyarrow_table())
        database.execute(f"CREATE TABLE {name} AS SELECT * FROM arrow_{name}")
    for name, view in DEFINITIONS.items():
        database.execute(f"CREATE VIEW {name} AS {view}")

    def run(question: str) -> list[tuple[Any, ...]]:
        query = re.sub(r":(\w+)", r"$\1", question).replace("explode(", "unnest(")
        return database.execute(query, parameters(question)).fetchall()

    check(run)


def test_polars(folder: Path) -> None:
    context = polars.SQLContext({name: polars.scan_delta(str(folder / name)) for name in ROWS})
    for name, view in DEFINITIONS.items():
        context.register(name, context.execute(view))

    def run(question: str) -> list[tuple[Any, ...]]:
        query = re.sub(r":(\w+)", lambda match: f"'{VALUES[match[1]]}'", question).replace("explode(", "unnest(")
        return context.execute(query).collect().rows()

    check(run)


def test_spark(spark: SparkSession, folder: Path) -> None:
    root = open_root(folder, spark=spark)
    check(lambda question: [tuple(row) for row in root.sql(question, **parameters(question)).collect()])


def test_the_page_has_the_definitions_of_the_views() -> None:
    assert DEFINITIONS.keys() == {f"current_{name}" for name in VIEWS}
