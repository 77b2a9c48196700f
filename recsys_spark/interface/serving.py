"""Serving model versions, as the table models states them."""

import json
from dataclasses import dataclass
from typing import Any

from recsys_spark.core.errors import MissingInputError
from recsys_spark.storage.queries import Queries

__all__ = ["StoredModel", "serving_model", "stored_model"]

# What makes each output table serve.
REMEDIES = {
    "item_similarity": "run build_item_similarity and publish_model first",
    "recommendations": "run build_recommendations and publish_model first",
    "gender_predictions": "run train_gender_model, predict_gender and publish_model --model.kind gender first, with"
    " gender.all_users true if every user states a gender",
}


@dataclass(frozen=True)
class StoredModel:
    """A row of models, with the columns that answers need."""

    version: str
    kind: str
    artifact: str
    params: dict[str, Any]


def serving_model(tables: Queries, table: str) -> StoredModel:
    """Return the model version that serves an output table.

    Raises MissingInputError, naming the jobs, where none serves it.
    """
    found = _models(tables, "array_contains(serves, {wanted})", table)
    if not found:
        raise MissingInputError(f"no model serves {table} at {tables.place}: {REMEDIES[table]}")
    return found[0]


def stored_model(tables: Queries, version: str) -> StoredModel:
    """Return a model version by name; MissingInputError where there is none."""
    found = _models(tables, "model_version = {wanted}", version)
    if not found:
        raise MissingInputError(f"there is no model version {version} at {tables.place}: train it again")
    return found[0]


def _models(tables: Queries, condition: str, wanted: str) -> list[StoredModel]:
    columns = "SELECT model_version, algorithm, artifact, params FROM {models}"
    rows = tables.query(f"{columns} WHERE {condition}", wanted=wanted)
    return [
        StoredModel(row["model_version"], row["algorithm"], row["artifact"], json.loads(row["params"])) for row in rows
    ]
