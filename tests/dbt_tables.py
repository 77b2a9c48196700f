"""Small tables in a DuckDB file, for the tests of deploy/dbt."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from recsys_spark.publish.publication import VIEWS
from recsys_spark.storage.schemas import TABLES

__all__ = ["GOOD_ROWS", "write_tables"]

Row = dict[str, Any]
NOW = datetime(2025, 7, 1, 12, tzinfo=UTC)
OUTPUTS = list(VIEWS)

# DuckDB takes a map as two lists.
NO_ENTRIES: Row = {"key": [], "value": []}
# Values of the columns that a row does not state; a column of neither is null.
DEFAULTS: Row = {
    **{"user_id": "u1", "item_id": "i1", "user_idx": 0, "item_idx": 0, "play_count": 1, "position": 1, "score": 0.5},
    **{"model_version": "als-1", "algorithm": "als", "origin": "model", "vector": [0.5], "similarity": 0.5, "seed": 42},
    **{"source": "shop", "source_file": "file:/raw/1.csv", "kind": "events", "run_id": "r1", "reasons": ["missing"]},
    **{"ingested_at": NOW, "file_modified_at": NOW, "modified_at": NOW, "updated_at": NOW, "created_at": NOW},
    **{"started_at": NOW, "finished_at": NOW, "size": 10, "settings_hash": "", "reprocess": False, "batch_id": 1},
    **{"split_id": "split-1", "protocol": "time", "part": "test", "metric": "ndcg@10", "slice": "all", "users": 1},
    **{"dataset": "shop", "study": "s", "number": 0, "state": "complete", "value": 0.1, "params": "{}"},
    **{
        "metrics": NO_ENTRIES,
        "inputs": "{}",
        "outputs": "{}",
        "artifact": "models/als-1",
        "serves": [],
        "rows": NO_ENTRIES,
    },
    **{
        "probability": 0.9,
        "probabilities": {"key": ["f"], "value": [0.9]},
        "known_items": 2,
        "user_hash": "h1",
        "scope": "gender",
    },
    **{"job": "evaluate", "status": "done", "exit_code": 0},
}

# Beside plain rows: an id in two sources, a file without counts, a forgotten user and item, versions that do not serve.
GOOD_ROWS: dict[str, list[Row]] = {
    "plays": [{"event_id": "e1"}, {"event_id": "e1", "source": "other"}, {"event_id": "e2", "user_id": "u2"}],
    "plays_quarantine": [{}],
    "ingested_files": [
        {"status": "started", "batch_id": 2},
        {"status": "ingested", "rows_read": 3, "rows_valid": 3, "rows_duplicate": 0, "rows_quarantined": 0},
    ],
    "users": [{"user_id": "u1"}, {"user_id": "u2"}],
    "items": [{"item_id": "i1", "name": "One"}, {"item_id": "i2"}],
    "user_index": [{"user_id": f"u{idx + 1}" if idx < 2 else None, "user_idx": idx} for idx in range(4)],
    "item_index": [{"item_id": f"i{idx + 1}" if idx < 2 else None, "item_idx": idx} for idx in range(4)],
    "interactions": [{"play_count": 2}, {"user_idx": 1}, {"item_idx": 1}, {"item_idx": 2}],
    "splits": [{"part": "train"}, {"user_idx": 1}, {"split_id": "split-2"}],
    "models": [{"serves": OUTPUTS}, {"model_version": "lsa-1", "algorithm": "lsa"}],
    "user_vectors": [{}, {"model_version": "not recorded yet"}],
    "item_vectors": [{}],
    "item_similarity": [{"similar_item_id": "i2"}, {"similar_item_id": "i2", "model_version": "lsa-1"}],
    "recommendations": [{}, {"position": 2, "item_id": "i2", "origin": "content"}, {"model_version": "lsa-1"}],
    "gender_predictions": [{}],
    "evaluations": [{}, {"slice": "known_items=2-5"}],
    "trials": [{}, {"number": 1, "state": "fail", "value": None}],
    "suppressions": [{}, {"scope": "key"}],
    "job_runs": [{}, {"run_id": "r2", "status": "failed", "error": "lost"}],
}


def write_tables(file: Path, tables: Mapping[str, Iterable[Row]]) -> None:
    """Write tables and the views current_* to the schema `recsys` of a DuckDB file."""
    with duckdb.connect(str(file)) as database:
        database.execute("CREATE SCHEMA recsys")
        for name, rows in tables.items():
            types = TABLES[name].types
            columns = ", ".join(f"{column} {_duckdb_type(sql_type)}" for column, sql_type in types.items())
            database.execute(f"CREATE TABLE recsys.{name} ({columns})")
            places = ", ".join("?" * len(types))
            stated = [[{**DEFAULTS, **row}.get(column) for column in types] for row in rows]
            database.executemany(f"INSERT INTO recsys.{name} VALUES ({places})", stated)
        for name, query in VIEWS.items():
            addresses = {table: f"recsys.{table}" for table in TABLES}
            database.execute(f"CREATE VIEW recsys.current_{name} AS {query.format(table=name, **addresses)}")


def _duckdb_type(sql_type: str) -> str:
    """Return a type of Spark as one of DuckDB; times have a zone, as in the tables that delta-rs reads."""
    nested = re.sub(r"MAP<(\w+),(\w+)>", r"MAP(\1, \2)", re.sub(r"ARRAY<(\w+)>", r"\1[]", sql_type))
    return nested.replace("TIMESTAMP", "TIMESTAMPTZ")
