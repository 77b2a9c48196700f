"""Runs, registered models and aliases in MLflow, through its client alone.

The client neither pickles models nor keeps an active run. Runs are found again by tag, so a repeated call changes
nothing.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from recsys_spark.config.mlflow import MlflowSettings
from recsys_spark.core.paths import file_uri, local_path
from recsys_spark.publish.model_record import VERSION_TAG, ModelRecord, metric_name

__all__ = ["PREVIOUS", "SERVING", "MlflowStore"]

SERVING, PREVIOUS = "serving", "previous"
CARD_FOLDER = "model"
# Hash of the facts that the run has; it is written last.
DIGEST_TAG = "recsys.digest"
PIPELINE_TAG, RUN_TAG = "recsys.pipeline", "recsys.run_id"
# A server that does not answer costs seconds, not the minutes of MLflow's defaults. Nothing is reported to its authors.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
MAX_PARAMS, MAX_METRICS = 100, 1000
T = TypeVar("T")


class MlflowStore:
    """The experiment and the registered models of one configuration; `run_id` is that of the job at work."""

    def __init__(self, settings: MlflowSettings, run_id: str) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        self._settings, self._run_id = settings, run_id
        self._client = MlflowClient(tracking_uri=settings.tracking_uri, registry_uri=settings.tracking_uri)
        found = self._client.get_experiment_by_name(settings.experiment)
        self._experiment: str = (
            self._client.create_experiment(settings.experiment, artifact_location=_artifact_location(settings))
            if found is None
            else found.experiment_id
        )

    def open_pipeline(self, digest: str, configuration: str) -> str:
        """Return the id of the run of a pipeline; an unfinished one of the same configuration is continued."""
        run = self._find(PIPELINE_TAG, digest)
        if run is None or run.info.status == "FINISHED":
            run = self._client.create_run(self._experiment, run_name=self._run_id, tags={PIPELINE_TAG: digest})
        else:
            self._client.update_run(run.info.run_id, status="RUNNING")
        self._client.set_tag(run.info.run_id, RUN_TAG, self._run_id)
        self._client.log_text(run.info.run_id, configuration, "configuration.json")
        return str(run.info.run_id)

    def close_pipeline(self, run: str, counts: Mapping[str, float], *, succeeded: bool) -> None:
        """Log the counts of a pipeline and end its run."""
        for name, value in counts.items():
            self._client.log_metric(run, metric_name(name), value)
        self._client.set_terminated(run, "FINISHED" if succeeded else "FAILED")

    def log_model(self, record: ModelRecord, *, renew: bool = True) -> str:
        """Write the facts of a version to its run, and return the run's id.

        Without `renew`, a run that is complete stays as it is: evaluations may have been added to it.
        """
        from mlflow.entities import Metric, Param, RunTag

        run = self._find(VERSION_TAG, record.version)
        written = None if run is None else run.data.tags.get(DIGEST_TAG)
        if written == record.digest or (written is not None and not renew):
            return str(run.info.run_id)
        if run is None:
            parent = self._settings.parent_run
            tags = {**record.tags, RUN_TAG: self._run_id} | ({} if parent is None else {"mlflow.parentRunId": parent})
            run = self._client.create_run(self._experiment, record.created, tags, record.version)
        number = str(run.info.run_id)
        for params in _parts(list(record.params.items()), MAX_PARAMS):
            self._client.log_batch(number, params=[Param(name, text) for name, text in params])
        for points in _parts(record.points, MAX_METRICS):
            self._client.log_batch(number, metrics=[Metric(p.name, p.value, p.time, p.step) for p in points])
        self._client.log_dict(number, record.card, f"{CARD_FOLDER}/card.json")
        self._client.log_batch(number, tags=[RunTag(DIGEST_TAG, record.digest)])
        self._client.set_terminated(number, "FINISHED")
        return number

    def set_aliases(self, output: str, serving: ModelRecord, previous: ModelRecord | None) -> None:
        """Move the aliases of the registered model of an output table."""
        name = f"{self._settings.registered_model_prefix}{output}"
        if not self._client.search_registered_models(f"name = '{name}'"):
            self._client.create_registered_model(name, description=f"Model versions that served {output}.")
        # The older version is registered first, so that numbers rise with publications.
        numbers = {
            alias: self._register(name, record)
            for alias, record in ((PREVIOUS, previous), (SERVING, serving))
            if record is not None
        }
        current = {alias: str(number) for alias, number in self._client.get_registered_model(name).aliases.items()}
        for alias, number in numbers.items():
            if current.get(alias) != number:
                self._client.set_registered_model_alias(name, alias, number)
        if previous is None and PREVIOUS in current:
            self._client.delete_registered_model_alias(name, PREVIOUS)

    def _register(self, name: str, record: ModelRecord) -> str:
        """Return the number of a version in a registered model; its source is the folder of the card."""
        run = self.log_model(record)
        for found in self._client.search_model_versions(f"name = '{name}'"):
            if found.tags.get(VERSION_TAG) == record.version:
                return str(found.version)
        source = f"{self._client.get_run(run).info.artifact_uri}/{CARD_FOLDER}"
        return str(self._client.create_model_version(name, source, run, tags={VERSION_TAG: record.version}).version)

    def _find(self, tag: str, value: str) -> Any:
        """Return the newest run with a tag, or None."""
        found = self._client.search_runs(
            [self._experiment], f"tags.`{tag}` = '{value}'", max_results=1, order_by=["attributes.start_time DESC"]
        )
        return found[0] if found else None


def _artifact_location(settings: MlflowSettings) -> str | None:
    if settings.artifact_location is not None:
        place = local_path(settings.artifact_location)
        return settings.artifact_location if place is None else file_uri(place)
    database = (settings.tracking_uri or "").partition("sqlite:///")[2]
    # Without a server MLflow would take the folder that the job was started in.
    return file_uri(Path(database).absolute().parent / "mlflow-artifacts") if database else None


def _parts(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield the values in parts that a server takes at once."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
