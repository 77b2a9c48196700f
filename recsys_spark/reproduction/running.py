"""Runs entries: the same jobs that anyone would start, one after the other in one session."""

import logging
from typing import Any

from pyspark.sql import Column, Row
from pyspark.sql import functions as F

from recsys_spark.config.load import config_of
from recsys_spark.config.model import BaseConfig
from recsys_spark.config.split import RATING_PROTOCOLS
from recsys_spark.core.logs import step
from recsys_spark.models.versions import ModelVersion, find_model
from recsys_spark.pipeline.steps import start_job, training_steps
from recsys_spark.reproduction.datasets import DataSet
from recsys_spark.reproduction.entries import Entry
from recsys_spark.reproduction.results import Result, key_of
from recsys_spark.runtime.job import JobRun
from recsys_spark.storage.tables import Tables

__all__ = ["prepare", "run_repeat"]

log = logging.getLogger(__name__)

# Of the caller's configuration: where and how jobs run, not what they compute.
PASSED_ON = ("spark", "training", "shards", "outputs")


def prepare(run: JobRun, dataset: DataSet) -> None:
    """Ingests a data set and builds its interactions, below a folder of its own; nothing where that was done."""
    config = _config(run.config, dataset, dataset.source)
    for job in ("ingest_plays", "build_interactions"):
        start_job(run.spark, job, config)
    pairs = Tables(run.spark, config, run.report.run_id, run.report.job).read("interactions").count()
    if pairs != dataset.pairs:
        log.warning(
            "%s holds %d pairs, and %d were published: figures cannot be compared", dataset.folder, pairs, dataset.pairs
        )


def run_repeat(run: JobRun, entry: Entry, repeat: int, dataset: DataSet) -> Result:
    """Splits, trains and judges; what exists from an earlier run is used again."""
    config = _config(run.config, dataset, entry.flags(repeat, str(dataset.folder)))
    metrics = tuple(target.metric for target in entry.targets)
    start_job(run.spark, "split_interactions", config)
    version = None
    for fit in dict.fromkeys(("train", entry.fit)):
        fitted = _with(config, "model", fit=fit)
        with step(f"{entry.name} on {entry.data}, {entry.protocol}, repeat {repeat} of {entry.repeats} ({fit})"):
            # The last report is that of training.
            for todo in training_steps((entry.kind,), fit):
                version = start_job(run.spark, todo.job, fitted).model_version
    judged = _with(config, "evaluation", models=(version,), part="test")
    if entry.protocol not in RATING_PROTOCOLS:
        judged = _with(judged, "evaluation", metrics=metrics)
    start_job(run.spark, "evaluate", judged)
    tables = Tables(run.spark, config, run.report.run_id, run.report.job)
    model = find_model(tables, entry.kind, version)
    values = _figures(tables, model, F.col("model_version") == model.version)
    popularity = _figures(tables, model, F.col("algorithm") == "popularity")
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


def _figures(tables: Tables, model: ModelVersion, whose: Column) -> dict[str, Row]:
    """Metric -> figure (value, users) over all test users of the model's split."""
    here = (F.col("split_id") == model.split_id) & (F.col("part") == "test") & (F.col("slice") == "all")
    rows = tables.read("evaluations").where(here & whose).select("metric", "value", "users").collect()
    return {row["metric"]: row for row in rows}


def _config(base: BaseConfig, dataset: DataSet, flags: dict[str, str]) -> BaseConfig:
    """The configuration that these flags give on a command line, with tables in a folder of the data set's own."""
    roots = {"tables.root": f"{base.tables.root}/{dataset.name}", "files.root": f"{base.files_root}/{dataset.name}"}
    config = config_of({**roots, **flags})
    return config.model_copy(update={name: getattr(base, name) for name in PASSED_ON})


def _with(config: BaseConfig, section: str, **values: Any) -> BaseConfig:
    changed = getattr(config, section).model_copy(update=values)
    return config.model_copy(update={section: changed})
