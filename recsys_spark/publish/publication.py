"""Which model version serves which output table. Changing it is one commit on `models`.

Outputs are built beside those that serve; readers join with `models` on `serves`, so they see the old version
whole until the commit and the new one whole after it.
"""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import MissingInputError
from recsys_spark.models.versions import ModelVersion, not_before
from recsys_spark.publish.gate import check_gate
from recsys_spark.storage.tables import Tables

__all__ = ["OUTPUT_TABLES", "create_views", "publish", "roll_back"]

log = logging.getLogger(__name__)

OUTPUT_TABLES = ("item_similarity", "recommendations", "gender_predictions")
SERVES = "array_contains(m.serves, '{table}')"
VIEWS = {
    "item_similarity": (
        "SELECT o.*, i.name AS item_name, s.name AS similar_item_name FROM {item_similarity} o"
        " JOIN {models} m ON o.model_version = m.model_version AND " + SERVES + ""
        " LEFT JOIN {items} i ON i.item_id = o.item_id LEFT JOIN {items} s ON s.item_id = o.similar_item_id"
    ),
    "recommendations": (
        "SELECT o.*, i.name AS item_name FROM {recommendations} o"
        " JOIN {models} m ON o.model_version = m.model_version AND " + SERVES + ""
        " LEFT JOIN {items} i ON i.item_id = o.item_id"
    ),
    "gender_predictions": (
        "SELECT o.* FROM {gender_predictions} o JOIN {models} m ON o.model_version = m.model_version AND " + SERVES
    ),
}


class _Published(NamedTuple):
    """A version, and the tables that it serves now."""

    version: str
    serves: tuple[str, ...]


def publish(tables: Tables, candidate: ModelVersion, config: BaseConfig) -> list[str]:
    """Lets a version serve every output table that it has rows in; others stop serving those. Returns the tables.

    Raises MissingInputError when it has no outputs, QualityGateError when it is not good enough. Does nothing where it
    serves them already.
    """
    version = candidate.version
    outputs = [table for table in OUTPUT_TABLES if _has_outputs(tables, table, version)]
    if not outputs:
        raise MissingInputError(
            f"{version} has no outputs to publish: run build_item_similarity and build_recommendations first, or "
            "predict_gender for a classifier"
        )
    # Nobody else is to publish between the comparison and the commit.
    with tables.lock("models"):
        if not set(outputs) - set(_serving(tables, version)):
            return outputs
        verdict = check_gate(tables, candidate, outputs, config)
        if verdict.record["verdict"] != "passed":
            log.warning("%s is published %s: %s", version, verdict.record["verdict"], verdict.as_json())
        _serve(tables, {table: version for table in outputs}, published=version, verdict=verdict.as_json())
    return outputs


def roll_back(tables: Tables) -> dict[str, str]:
    """Undoes the newest publication: the tables that its version serves are served by what served them before. Returns
    table -> version.

    Going back again goes further back: the version that is left counts as never published. A run that did not live to
    record that it went back is completed. Raises MissingInputError when no table has an earlier version whose outputs
    still exist.
    """
    with tables.lock("models"):
        unfinished = _unfinished(tables)
        if unfinished is not None:
            return unfinished
        published = _published(tables)
        place = next((place for place, version in enumerate(published) if version.serves), None)
        if place is None:
            raise MissingInputError("no earlier version has outputs to go back to: publish another model instead")
        newest, older = published[place], published[place + 1 :]
        found = {table: _served_before(tables, table, older) for table in newest.serves}
        earlier = {table: version for table, version in found.items() if version is not None}
        if not earlier:
            raise MissingInputError(
                f"no earlier version than {newest.version} has outputs to go back to: publish another model instead"
            )
        _serve(tables, earlier, published=None)
    return earlier


def create_views(tables: Tables) -> None:
    """The current_* views, where a catalog exists: rows of the serving version with item names."""
    if not tables.uses_catalog:
        return
    names = {name: tables.address(name) for name in (*OUTPUT_TABLES, "models", "items")}
    for table, query in VIEWS.items():
        if tables.exists(table):
            tables.create_view(f"current_{table}", query.format(table=table, **names))


def _has_outputs(tables: Tables, table: str, version: str) -> bool:
    if not tables.exists(table):
        return False
    return not tables.read(table).where(F.col("model_version") == version).isEmpty()


def _serving(tables: Tables, version: str) -> list[str]:
    row = tables.read("models").where(F.col("model_version") == version).select("serves").first()
    return list(row[0] or []) if row is not None else []


def _published(tables: Tables) -> list[_Published]:
    """The versions that were published and not withdrawn, the newest first."""
    dated = tables.read("models").where(F.col("published_at").isNotNull()).orderBy(F.desc("published_at"))
    return [_Published(row[0], tuple(row[1] or ())) for row in dated.select("model_version", "serves").collect()]


def _served_before(tables: Tables, table: str, older: Sequence[_Published]) -> str | None:
    return next((each.version for each in older if _has_outputs(tables, table, each.version)), None)


def _unfinished(tables: Tables) -> dict[str, str] | None:
    """What the last commit of this module went back to, if no run ended that states it among its outputs."""
    last = next((commit for commit in tables.commits("models") if "served" in commit.metadata), None)
    if last is None or last.metadata["check_gate"] is not None:
        return None
    if tables.exists("job_runs"):
        stated = F.get_json_object("outputs", "$.models") == str(last.version)
        if not tables.read("job_runs").where(stated & (F.col("status") == "done")).isEmpty():
            return None
    tables.outputs["models"] = last.version
    return dict(last.metadata["served"])


def _serve(tables: Tables, served: dict[str, str], published: str | None, verdict: str | None = None) -> None:
    """One commit: each table moves from the version that serves it to the given one."""
    with tables.lock("models"):
        models = tables.read("models")
        changed = models.withColumn("before", F.coalesce("serves", F.array().cast("array<string>"))).withColumn(
            "serves", F.array_sort(F.array_union(_kept(served), _gained(served)))
        )
        changed = _dated(changed, models, published).where(F.col("serves") != F.array_sort("before"))
        changed = changed.withColumn("gate", F.when(_is(published), F.lit(verdict)).otherwise(F.col("gate")))
        update = {name: f"new.{name}" for name in ("serves", "published_at", "retired_at", "gate")}
        tables.merge("models", changed, ("model_version",), update, served=served, gate=verdict)


def _kept(served: dict[str, str]) -> Column:
    moved = F.array(*[F.lit(table) for table in served])
    return F.array_except("before", moved)


def _gained(served: dict[str, str]) -> Column:
    given = [F.when(F.col("model_version") == version, F.lit(table)) for table, version in served.items()]
    return F.array_compact(F.array(*given))


def _dated(changed: DataFrame, models: DataFrame, published: str | None) -> DataFrame:
    retired = (F.size("serves") == 0) & (F.size("before") > 0)
    # Who went back from a version does not want to come back to it.
    withdrawn = retired & F.lit(published is None)
    now = not_before(
        changed.withColumn("now", F.current_timestamp()), models.withColumnRenamed("published_at", "now"), "now"
    )
    return now.withColumns(
        {
            "published_at": F.when(_is(published), F.col("now")).when(~withdrawn, F.col("published_at")),
            "retired_at": F.when(retired, F.col("now")).when(F.size("serves") == 0, F.col("retired_at")),
        }
    ).drop("now")


def _is(version: str | None) -> Column:
    return F.lit(version is not None) & (F.col("model_version") == (version or ""))
