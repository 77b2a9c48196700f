"""The models table: model versions, their inputs, and their order.

The name of a version is a hash of everything that determines the model. So the same work has the same name, and a
complete version is reused. The row of a version is written last: a version without a row is incomplete.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark import __version__
from recsys_spark.core.errors import MissingInputError
from recsys_spark.core.names import training_command
from recsys_spark.storage.schemas import TABLES
from recsys_spark.storage.tables import Tables

__all__ = [
    "ModelVersion",
    "find_model",
    "find_versions",
    "is_recorded",
    "kind_of",
    "not_before",
    "record_model",
    "version_name",
]


@dataclass(frozen=True)
class ModelVersion:
    """A row of the models table, with the columns that jobs need."""

    version: str
    kind: str
    params: dict[str, Any]
    inputs: dict[str, int]
    artifact: str
    split_id: str | None
    parent_version: str | None
    metrics: dict[str, float]
    selection_metric: str | None
    gate: str | None

    @property
    def fit(self) -> str:
        """Return the data that the version was trained on (model.fit)."""
        return str(self.params.get("fit", "train"))


def version_name(
    kind: str,
    settings: BaseModel,
    seed: int,
    data_key: int | str,
    split_id: str | None = None,
    fit: str = "train",
    users_key: int | str | None = None,
) -> str:
    """Return `KIND-HASH`, with a hash of everything that determines the model.

    `users_key` is given for models that also learn from user profiles.
    """
    parts: list[Any] = [kind, settings.model_dump(mode="json"), seed, split_id, fit, data_key, __version__]
    parts += [] if users_key is None else [users_key]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{kind}-{digest[:12]}"


def kind_of(version: str) -> str:
    """Return the kind that a version's name begins with."""
    return version.rpartition("-")[0]


def is_recorded(tables: Tables, version: str) -> bool:
    """Return True if the version has a row in models, so its training is complete."""
    if not tables.exists("models"):
        return False
    return not tables.read("models").where(F.col("model_version") == version).isEmpty()


def record_model(
    tables: Tables,
    version: str,
    kind: str,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    artifact: str,
    split_id: str | None = None,
    parent_version: str | None = None,
    selection_metric: str | None = None,
) -> None:
    """Add the version's row to models, unless it exists."""
    if is_recorded(tables, version):
        return
    tables.ensure("models")
    inputs = json.dumps(dict(tables.inputs), sort_keys=True)
    described = (version, kind, datetime.now(UTC), json.dumps(params, sort_keys=True), inputs, split_id, parent_version)
    row: tuple[Any, ...] = (*described, dict(metrics), selection_metric, artifact, [], None, None, None)
    frame = not_before(
        tables.spark.createDataFrame([row], TABLES["models"].schema), tables.read("models"), "created_at"
    )
    tables.merge("models", frame, ("model_version",), None, scope=version)


def not_before(rows: DataFrame, models: DataFrame, time: str) -> DataFrame:
    """Move the column `time` of `rows` behind all times of that column in `models`.

    So the newest version is always the one recorded last, even if the clock was set back in between.
    """
    latest = models.agg(F.max(time).alias("latest"))
    dated = rows.join(F.broadcast(latest), how="cross")
    later = F.greatest(time, F.col("latest") + F.expr("INTERVAL 1 MICROSECOND"))
    return dated.withColumn(time, F.when(F.col(time).isNotNull(), later)).drop("latest")


def find_model(tables: Tables, kind: str, version: str | None) -> ModelVersion:
    """Return the named version, or the newest version of a kind.

    Raises MissingInputError naming the job that trains it.
    """
    condition: Column = F.col("algorithm") == kind if version is None else F.col("model_version") == version
    found = next(find_versions(tables, condition), None)
    if found is None:
        missing = f"model of kind {kind!r}" if version is None else f"model version {version!r}"
        kind = kind if version is None else kind_of(version)
        raise MissingInputError(f"there is no {missing}: run {training_command(kind)} first")
    return found


def find_versions(tables: Tables, condition: Column) -> Iterator[ModelVersion]:
    """Yield the versions that meet a condition on models, newest first; none where there is no table."""
    if not tables.exists("models"):
        return
    for row in tables.read("models").where(condition).orderBy(F.desc("created_at"), "model_version").collect():
        yield ModelVersion(
            row["model_version"],
            row["algorithm"],
            json.loads(row["params"]),
            json.loads(row["inputs"]),
            row["artifact"],
            row["split_id"],
            row["parent_version"],
            dict(row["metrics"] or {}),
            row["selection_metric"],
            row["gate"],
        )
