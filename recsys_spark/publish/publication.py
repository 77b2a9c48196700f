"""Publication and rollback of model versions: each change is one commit on `models`.

Outputs of a new version are written beside those that serve. Readers join with `models` on `serves`, so they see all
rows of the old version before the commit and all rows of the new one after it.
"""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import MissingInputError
from recsys_spark.core.names import ITEM_KNN
from recsys_spark.models.versions import ModelVersion, not_before
from recsys_spark.publish.gate import GateDecision, check_gate
from recsys_spark.storage.tables import Tables

__all__ = ["OUTPUT_TABLES", "VIEWS", "create_views", "publication_notice", "publish", "roll_back", "serving_versions"]

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
    """A published version with the tables that it serves now."""

    version: str
    serves: tuple[str, ...]


def publish(tables: Tables, candidate: ModelVersion, config: BaseConfig) -> list[str]:
    """Make a version serve every output table that it has rows in.

    Returns these tables; other versions stop serving them. Nothing changes if the version serves them all already.
    Raises MissingInputError for a version without outputs, QualityGateError for one that the gate refuses.
    """
    version = candidate.version
    outputs = [table for table in OUTPUT_TABLES if _has_outputs(tables, table, version)]
    if not outputs:
        raise MissingInputError(
            f"{version} has no outputs to publish: run build_item_similarity and build_recommendations first, or "
            "predict_gender for a classifier (with gender.all_users = true if every user states a gender)"
        )
    # No other run may publish between the comparison and the commit.
    with tables.lock("models"):
        if not set(outputs) - set(_serving(tables, version)):
            return outputs
        decision = check_gate(tables, candidate, outputs, config)
        _serve(tables, {table: version for table in outputs}, published=version, decision=decision.as_json())
    notice = publication_notice(candidate, decision, config)
    if notice is not None:
        log.warning(notice)
    return outputs


def publication_notice(candidate: ModelVersion, decision: GateDecision, config: BaseConfig) -> str | None:
    """Return the warning for a version published without passing the gate.

    Returns None for a version that passed, and for one that was not evaluated where no split is configured: without
    one, the pipeline evaluates no model.
    """
    verdict, version = decision.record["verdict"], candidate.version
    if verdict == "overridden":
        problems = "; ".join(decision.record["problems"])
        reason = decision.record["reason"]
        return f"{version} was published although the gate refused it ({reason}): {problems}"
    if verdict != "unjudged" or config.split.protocol is None:
        return None
    is_gender = candidate.kind == "gender"
    steps = "run evaluate_gender with its settings" if is_gender else "train it on the split and run evaluate"
    baseline = "the majority share" if is_gender else "popularity"
    if candidate.kind == ITEM_KNN:
        steps, baseline = "build it on the split and run evaluate_similarity", "the lists that serve"
    return (
        f"{version} was published without an evaluation: {steps} to compare it with {baseline} (publish.metric and "
        "publish.tolerance decide what is required)"
    )


def roll_back(tables: Tables) -> dict[str, str]:
    """Undo the newest publication and return table -> version that serves it now.

    Each table that the version serves goes back to the version that served it before. A second rollback goes one
    publication further back, as a withdrawn version counts as never published. If the last rollback was committed but
    its run was killed before it was recorded, that one is completed instead.

    Raises MissingInputError when no table has an earlier version whose outputs exist.
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


def serving_versions(tables: Tables) -> dict[str, tuple[str, str | None]]:
    """Return output table -> its serving version, and the target of a rollback if any."""
    published, found = _published(tables), {}
    for table in OUTPUT_TABLES:
        place = next((place for place, version in enumerate(published) if table in version.serves), None)
        if place is not None:
            found[table] = (published[place].version, _served_before(tables, table, published[place + 1 :]))
    return found


def create_views(tables: Tables) -> None:
    """Create the current_* views in the catalog, if there is one.

    They hold the rows of the serving version with item names.
    """
    if not tables.uses_catalog:
        return
    names = {name: tables.address(name) for name in (*OUTPUT_TABLES, "models", "items")}
    for table, query in VIEWS.items():
        if tables.exists(table):
            tables.create_view(table, query.format(table=table, **names))


def _has_outputs(tables: Tables, table: str, version: str) -> bool:
    if not tables.exists(table):
        return False
    return not tables.read(table).where(F.col("model_version") == version).isEmpty()


def _serving(tables: Tables, version: str) -> list[str]:
    row = tables.read("models").where(F.col("model_version") == version).select("serves").first()
    return list(row[0] or []) if row is not None else []


def _published(tables: Tables) -> list[_Published]:
    """Return the versions that were published and not withdrawn, newest first."""
    dated = tables.read("models").where(F.col("published_at").isNotNull()).orderBy(F.desc("published_at"))
    return [_Published(row[0], tuple(row[1] or ())) for row in dated.select("model_version", "serves").collect()]


def _served_before(tables: Tables, table: str, older: Sequence[_Published]) -> str | None:
    return next((each.version for each in older if _has_outputs(tables, table, each.version)), None)


def _unfinished(tables: Tables) -> dict[str, str] | None:
    """Return the result of a rollback that job_runs does not record, else None."""
    last = next((commit for commit in tables.commits("models") if "served" in commit.metadata), None)
    if last is None or last.metadata["gate"] is not None:
        return None
    if tables.exists("job_runs"):
        recorded = F.get_json_object("outputs", "$.models") == str(last.version)
        if not tables.read("job_runs").where(recorded & (F.col("status") == "done")).isEmpty():
            return None
    tables.outputs["models"] = last.version
    return dict(last.metadata["served"])


def _serve(tables: Tables, served: dict[str, str], published: str | None, decision: str | None = None) -> None:
    """Commit a new serving version for each table of `served`."""
    with tables.lock("models"):
        models = tables.read("models")
        changed = models.withColumn("before", F.coalesce("serves", F.array().cast("array<string>"))).withColumn(
            "serves", F.array_sort(F.array_union(_kept(served), _gained(served)))
        )
        changed = _dated(changed, models, published).where(F.col("serves") != F.array_sort("before"))
        changed = changed.withColumn("gate", F.when(_is(published), F.lit(decision)).otherwise(F.col("gate")))
        update = {name: f"new.{name}" for name in ("serves", "published_at", "retired_at", "gate")}
        tables.merge("models", changed, ("model_version",), update, served=served, gate=decision)


def _kept(served: dict[str, str]) -> Column:
    moved = F.array(*[F.lit(table) for table in served])
    return F.array_except("before", moved)


def _gained(served: dict[str, str]) -> Column:
    given = [F.when(F.col("model_version") == version, F.lit(table)) for table, version in served.items()]
    return F.array_compact(F.array(*given))


def _dated(changed: DataFrame, models: DataFrame, published: str | None) -> DataFrame:
    retired = (F.size("serves") == 0) & (F.size("before") > 0)
    # A later rollback must not return to a version that was withdrawn.
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
