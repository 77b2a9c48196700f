"""Sources of the dbt project in deploy/dbt, from the schemas, descriptions and constants of the code.

`python docs/generate_dbt.py` writes deploy/dbt/models/sources.yml; a test compares the file with the code.
"""

import re
from pathlib import Path
from typing import Any, get_args

import yaml
from optuna.trial import TrialState

from recsys_spark.config.source import SourceKind
from recsys_spark.config.split import Protocol
from recsys_spark.core.names import all_kinds
from recsys_spark.evaluation.metric_records import KEYS as EVALUATION_KEYS
from recsys_spark.gender.suppressions import GENDER_SCOPES, KEY_SCOPE
from recsys_spark.ingestion.file_states import FileCounts, FileState
from recsys_spark.preparation.held_out_pairs import ROLES
from recsys_spark.publish.publication import VIEWS
from recsys_spark.ranking.scorer import Origin
from recsys_spark.runtime.report import RunStatus
from recsys_spark.storage.constraints import MINIMUM
from recsys_spark.storage.constraints import NULLABLE as TABLE_NULLABLE
from recsys_spark.storage.descriptions import ROWS, column_description
from recsys_spark.storage.schemas import TABLES

FILE = Path(__file__).parents[1] / "deploy" / "dbt" / "models" / "sources.yml"
NOTE = "# Written by docs/generate_dbt.py.\n"
SOURCE = "recsys"

# Table -> combinations of columns that occur once; nulls of a single column do not count.
KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "plays": (("event_id", "source"),),
    "ingested_files": (("batch_id", "source_file"),),
    "users": (("user_id",),),
    "items": (("item_id",),),
    "user_index": (("user_id",), ("user_idx",)),
    "item_index": (("item_id",), ("item_idx",)),
    "interactions": (("user_idx", "item_idx"),),
    "splits": (("split_id", "user_idx", "item_idx"),),
    "models": (("model_version",),),
    "user_vectors": (("model_version", "user_idx"),),
    "item_vectors": (("model_version", "item_idx"),),
    "item_similarity": (("model_version", "item_id", "position"), ("model_version", "item_id", "similar_item_id")),
    "recommendations": (("model_version", "user_id", "position"), ("model_version", "user_id", "item_id")),
    "gender_predictions": (("model_version", "user_id"),),
    "evaluations": (EVALUATION_KEYS,),
    "trials": (("study", "number"),),
    "suppressions": (("user_hash", "scope"),),
    "job_runs": (("run_id",),),
    # One version serves a table: two would give each user and item two lists.
    "current_item_similarity": (("item_id", "position"),),
    "current_recommendations": (("user_id", "position"),),
    "current_gender_predictions": (("user_id",),),
}

# Columns of a table or view that may be null.
NULLABLE = {
    **TABLE_NULLABLE,
    "current_item_similarity": "item_name similar_item_name",
    "current_recommendations": "item_name",
    "current_gender_predictions": "gender",
}

# Values of a column, from the constants of the code that writes them.
VALUES: dict[tuple[str, str], tuple[str, ...]] = {
    ("plays", "kind"): get_args(SourceKind),
    ("ingested_files", "status"): tuple(state.value for state in FileState),
    ("splits", "protocol"): get_args(Protocol),
    ("splits", "part"): tuple(sorted({part for roles in ROLES.values() for part in roles})),
    ("models", "algorithm"): (*all_kinds(), "gender"),
    ("item_similarity", "algorithm"): all_kinds(),
    ("recommendations", "algorithm"): all_kinds(),
    ("recommendations", "origin"): tuple(origin.name.lower() for origin in Origin),
    ("trials", "state"): tuple(s.name.lower() for s in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)),
    ("suppressions", "scope"): (*GENDER_SCOPES, KEY_SCOPE),
    ("job_runs", "status"): get_args(RunStatus),
}

# Column -> column of another table that has each of its values. Vectors are written before the row of their model.
REFERENCES = {
    ("plays", "user_id"): ("users", "user_id"),
    ("plays", "item_id"): ("items", "item_id"),
    ("interactions", "user_idx"): ("user_index", "user_idx"),
    ("interactions", "item_idx"): ("item_index", "item_idx"),
    ("item_similarity", "model_version"): ("models", "model_version"),
    ("recommendations", "model_version"): ("models", "model_version"),
    ("gender_predictions", "model_version"): ("models", "model_version"),
}

# Columns that views have beside those of their table.
ADDED = {"item_name": column_description("items", "name"), "similar_item_name": "Name of the neighbour."}

# Columns that are filled in some rows: a started file has no counts yet.
FILLED_WHERE = {("ingested_files", f"rows_{name}"): "status = 'ingested'" for name in FileCounts._fields}


def sources() -> str:
    """Return the text of sources.yml."""
    tables = [_table(name, ROWS[name], {c: column_description(name, c) for c in TABLES[name].types}) for name in TABLES]
    tables += [_table(f"current_{name}", _view_description(name), view_columns(name)) for name in VIEWS]
    source = {
        "name": SOURCE,
        "description": "Tables of recsys_spark. Times are UTC.",
        # An empty catalog is that of the connection; Spark without catalogs has none.
        "database": "{{ var('recsys_catalog', '') }}",
        "schema": "{{ var('recsys_schema', 'recsys') }}",
        "tables": tables,
    }
    content = {"version": 2, "sources": [source]}
    return NOTE + yaml.dump(content, Dumper=_Indented, sort_keys=False, width=118, allow_unicode=True)


def view_columns(output: str) -> dict[str, str]:
    """Return column -> description of a view current_*: those of its table, then the names of items."""
    own = {column: column_description(output, column) for column in TABLES[output].types}
    return own | {name: ADDED[name] for name in re.findall(r" AS (\w+)", VIEWS[output])}


def _view_description(output: str) -> str:
    return f"View of a catalog: the rows of {output} of the version that serves it."


def _table(name: str, description: str, columns: dict[str, str]) -> dict[str, Any]:
    table: dict[str, Any] = {
        "name": name,
        "description": description,
        # A table that no job has made yet has no tests.
        "config": {"enabled": f"{{{{ '{name}' not in var('recsys_absent', []) }}}}"},
    }
    combinations = [key for key in KEYS.get(name, ()) if len(key) > 1]
    if combinations:
        table["data_tests"] = [_test("unique_combination", {"columns": list(key)}) for key in combinations]
    table["columns"] = [_column(name, column, text) for column, text in columns.items()]
    return table


def _column(table: str, column: str, description: str) -> dict[str, Any]:
    place = (table, column)
    tests: list[str | dict[str, Any]] = []
    if (column,) in KEYS.get(table, ()):
        tests.append("unique")
    if column not in NULLABLE.get(table, "").split():
        tests.append("not_null")
    if place in FILLED_WHERE:
        tests.append({"not_null": {"config": {"where": FILLED_WHERE[place]}}})
    if place in VALUES:
        tests.append(_test("accepted_values", {"values": list(VALUES[place])}))
    if place in MINIMUM:
        tests.append(_test("at_least", {"minimum": MINIMUM[place]}))
    if place in REFERENCES:
        other, field = REFERENCES[place]
        tests.append(_test("relationships", {"to": f"source('{SOURCE}', '{other}')", "field": field}))
    return {"name": column, "description": description} | ({"data_tests": tests} if tests else {})


def _test(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: {"arguments": arguments}}


class _Indented(yaml.SafeDumper):
    """Writer of YAML with indented lists, and without references between equal values."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:
        return True


if __name__ == "__main__":
    FILE.write_text(sources(), encoding="utf-8")
