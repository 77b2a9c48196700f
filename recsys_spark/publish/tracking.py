"""Records of trained, evaluated and published models in MLflow, where mlflow.tracking_uri is set.

The tables are the truth; MLflow has a copy for people who compare models there. A server that does not answer is
warned of and ends no job, and the next job that meets the version completes its record.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pyspark.sql import functions as F

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.paths import without_credentials
from recsys_spark.publish.mlflow_store import MlflowStore
from recsys_spark.publish.model_record import ModelRecord, model_record
from recsys_spark.publish.publication import serving_versions
from recsys_spark.runtime.job_run import JobRun
from recsys_spark.storage.tables import Tables

__all__ = ["attempt", "pipeline_run", "track_evaluations", "track_publication", "track_training"]

log = logging.getLogger(__name__)

T = TypeVar("T")


def track_training(tables: Tables, config: BaseConfig, version: str) -> None:
    """Record a trained version with its metrics and curves, unless that was done; a trial has no record."""
    if config.mlflow.tracking_uri is None:
        return
    records = _records(tables, config, [version], {})
    if records:
        attempt(config, version, lambda store: store.log_model(records[version], renew=False), tables.run_id)


def track_evaluations(tables: Tables, config: BaseConfig) -> None:
    """Add the metric values that this run has measured to the records of their versions."""
    if config.mlflow.tracking_uri is None or not tables.exists("evaluations"):
        return
    rows = tables.read("evaluations").where(F.col("run_id") == tables.run_id).select("model_version").distinct()
    # At most the versions of one split.
    versions = sorted(row[0] for row in rows.collect())
    records = _records(tables, config, versions, _evaluations(tables, versions)).values()
    if records:
        attempt(config, "the evaluation", lambda store: [store.log_model(one) for one in records], tables.run_id)


def track_publication(tables: Tables, config: BaseConfig) -> None:
    """Move the aliases of the registered models to the versions that serve now."""
    if config.mlflow.tracking_uri is None:
        return
    serving = serving_versions(tables)
    named = sorted({version for pair in serving.values() for version in pair if version is not None})
    records = _records(tables, config, named, _evaluations(tables, named))

    def move(store: MlflowStore) -> None:
        for output, (version, previous) in serving.items():
            store.set_aliases(output, records[version], None if previous is None else records[previous])

    attempt(config, "the publication", move, tables.run_id)


@contextmanager
def pipeline_run(run: JobRun) -> Iterator[JobRun]:
    """Yield the run of a pipeline whose steps are nested in a run of MLflow.

    If MLflow does not answer, the steps do not ask it again.
    """
    config, run_id = run.config, run.report.run_id
    if config.mlflow.tracking_uri is None:
        yield run
        return
    text = without_credentials(config.model_dump_json(by_alias=True, exclude={"mlflow"}))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    parent = attempt(config, "the pipeline", lambda store: store.open_pipeline(digest, text), run_id)
    changed = {"tracking_uri": None} if parent is None else {"parent_run": parent}
    nested = config.model_copy(update={"mlflow": config.mlflow.model_copy(update=changed)})
    succeeded = False
    try:
        yield replace(run, config=nested)
        succeeded = True
    finally:
        if parent is not None:
            counts = run.report.rows
            attempt(config, "its end", lambda store: store.close_pipeline(parent, counts, succeeded=succeeded), run_id)


def attempt(config: BaseConfig, subject: str, work: Callable[[MlflowStore], T], run_id: str) -> T | None:
    """Return the result of work on MLflow; any error becomes a warning with a remedy, and the result None."""
    try:
        return work(MlflowStore(config.mlflow, run_id))
    except Exception as error:  # the client raises errors of its own, of the network, of databases and of folders
        log.warning(
            "MLflow at %s did not record %s: %s. The job goes on. Correct mlflow.tracking_uri or start the server, and"
            " run the job again to record it, or unset mlflow.tracking_uri",
            without_credentials(str(config.mlflow.tracking_uri)),
            subject,
            without_credentials(f"{type(error).__name__}: {error}"),
        )
        return None


def _records(
    tables: Tables, config: BaseConfig, versions: Sequence[str], evaluations: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, ModelRecord]:
    """Return version -> record, for versions with a row in models."""
    found = {}
    for row in tables.read("models").where(F.col("model_version").isin(*versions)).collect():
        version, folder = row["model_version"], Path(config.files_root) / row["artifact"]
        found[version] = model_record(row.asDict(), evaluations.get(version, ()), _epochs(folder / "log.jsonl"))
    return found


def _evaluations(tables: Tables, versions: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return version -> its rows of evaluations over all users: one a part and metric."""
    found: dict[str, list[dict[str, Any]]] = {}
    if tables.exists("evaluations"):
        whole = (F.col("slice") == "all") & F.col("model_version").isin(*versions)
        for row in tables.read("evaluations").where(whole).collect():
            found.setdefault(row["model_version"], []).append(row.asDict())
    return found


def _epochs(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
