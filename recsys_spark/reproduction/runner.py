"""Runner of entries: the package's own jobs, in one session."""

import logging
from typing import Any

from pyspark.sql import Column, Row
from pyspark.sql import functions as F

from recsys_spark.config.load import config_from
from recsys_spark.config.model import BaseConfig
from recsys_spark.config.split import RATING_PROTOCOLS
from recsys_spark.core.logs import step
from recsys_spark.models.versions import ModelVersion, find_model
from recsys_spark.pipeline.steps import run_job, training_steps
from recsys_spark.reproduction.datasets import DataSet
from recsys_spark.reproduction.entry import Entry
from recsys_spark.reproduction.results import Result, key_of
from recsys_spark.runtime.job import JobRun
from recsys_spark.storage.tables import Tables

__all__ = ["prepare_dataset", "run_repeat"]

log = logging.getLogger(__name__)

# Sections of the caller's configuration that decide how jobs run, not what they compute.
SHARED_SECTIONS = ("spark", "training", "shards", "outputs")


def prepare_dataset(run: JobRun, dataset: DataSet) -> None:
    """Ingest a data set and build its interactions in its own folder.

    Both jobs skip work that an earlier run finished.
    """
    config = _dataset_config(run.config, dataset, dataset.source)
    for job in ("ingest_plays", "build_interactions"):
        run_job(run.spark, job, config)
    pairs = Tables(run.spark, config, run.report.run_id, run.report.job).read("interactions").count()
    if pairs != dataset.pairs:
        log.warning(
            "%s has %d pairs instead of the published %d: results are not comparable; check the data set's files",
            dataset.folder,
            pairs,
            dataset.pairs,
        )


def run_repeat(run: JobRun, entry: Entry, repeat: int, dataset: DataSet) -> Result:
    """Split, train and evaluate one repeat, reusing what an earlier run left."""
    config = _dataset_config(run.config, dataset, entry.flags(repeat, str(dataset.folder)))
    metrics = tuple(target.metric for target in entry.targets)
    run_job(run.spark, "split_interactions", config)
    version = None
    for fit in dict.fromkeys(("train", entry.fit)):
        fitted = _with_values(config, "model", fit=fit)
        with step(
            f"training {entry.name} on {entry.data}, {entry.protocol}, repeat {repeat} of {entry.repeats} ({fit})"
        ):
            # The last step is the training job, whose report has the version.
            for training_step in training_steps((entry.kind,), fit):
                version = run_job(run.spark, training_step.job, fitted).model_version
    evaluated = _with_values(config, "evaluation", models=(version,), part="test")
    if entry.protocol not in RATING_PROTOCOLS:
        evaluated = _with_values(evaluated, "evaluation", metrics=metrics)
    run_job(run.spark, "evaluate", evaluated)
    tables = Tables(run.spark, config, run.report.run_id, run.report.job)
    model = find_model(tables, entry.kind, version)
    values = _metric_values(tables, model, F.col("model_version") == model.version)
    popularity = _metric_values(tables, model, F.col("algorithm") == "popularity")
    return Result(
        key_of(entry, repeat),
        entry.name,
        entry.data,
        entry.protocol,
        entry.kind,
        repeat,
        config.run.seed,
        model.version,
        str(model.split_id),
        {metric: values[metric]["value"] for metric in metrics},
        {metric: popularity[metric]["value"] for metric in metrics if metric in popularity},
        values[metrics[0]]["users"],
        round(model.metrics["fit_seconds"], 1),
    )


def _metric_values(tables: Tables, model: ModelVersion, condition: Column) -> dict[str, Row]:
    """Return metric -> (value, users) over all test users of the model's split."""
    test = (F.col("split_id") == model.split_id) & (F.col("part") == "test") & (F.col("slice") == "all")
    rows = tables.read("evaluations").where(test & condition).select("metric", "value", "users").collect()
    return {row["metric"]: row for row in rows}


def _dataset_config(base: BaseConfig, dataset: DataSet, flags: dict[str, str]) -> BaseConfig:
    """Return the configuration of these flags, with tables in the data set's own folder."""
    roots = {"tables.root": f"{base.tables.root}/{dataset.name}", "files.root": f"{base.files_root}/{dataset.name}"}
    config = config_from({**roots, **flags})
    return config.model_copy(update={name: getattr(base, name) for name in SHARED_SECTIONS})


def _with_values(config: BaseConfig, section: str, **values: Any) -> BaseConfig:
    changed = getattr(config, section).model_copy(update=values)
    return config.model_copy(update={section: changed})
