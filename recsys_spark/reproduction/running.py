"""Runs entries: the same jobs that anyone would start, one after the other in one session."""

import logging
from typing import Any

from pyspark.sql import functions as F

from recsys_spark.config import BaseConfig
from recsys_spark.config_layers import load_config
from recsys_spark.job import JobRun
from recsys_spark.logs import step
from recsys_spark.model_versions import find_model, version_name
from recsys_spark.pipeline import start_job
from recsys_spark.preparation.split_settings import RATING_PROTOCOLS, split_id
from recsys_spark.registry import NETWORKS, training_job
from recsys_spark.reproduction.datasets import DataSet
from recsys_spark.reproduction.entries import Entry
from recsys_spark.reproduction.results import Result, key_of
from recsys_spark.tables import Tables

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
    for fit in dict.fromkeys(("train", entry.fit)):
        fitted = _with(config, "model", fit=fit)
        with step(f"{entry.name} on {entry.data}, {entry.protocol}, repeat {repeat} of {entry.repeats} ({fit})"):
            if entry.kind in NETWORKS:
                start_job(run.spark, "write_shards", fitted)
            start_job(run.spark, training_job(entry.kind), fitted)
    tables = Tables(run.spark, config, run.report.run_id, run.report.job)
    split, version = _names(tables, config, entry)
    judged = _with(config, "evaluation", models=(version,), part="test")
    if entry.protocol not in RATING_PROTOCOLS:
        judged = _with(judged, "evaluation", metrics=metrics)
    start_job(run.spark, "evaluate", judged)
    values, users = _values(tables, split, version)
    popular = _popular(tables, split)
    seconds = find_model(tables, entry.kind, version).metrics["fit_seconds"]
    popularity = {} if popular is None else _values(tables, split, popular)[0]
    return Result(
        key_of(entry, repeat),
        entry.name,
        entry.data,
        entry.protocol,
        entry.kind,
        repeat,
        config.run.seed,
        version,
        split,
        {metric: values[metric] for metric in metrics},
        {metric: popularity[metric] for metric in metrics if metric in popularity},
        users,
        round(seconds, 1),
    )


def _popular(tables: Tables, split: str) -> str | None:
    """The version of popularity that was judged on the split."""
    figures = tables.read("evaluations").where((F.col("split_id") == split) & (F.col("algorithm") == "popularity"))
    row = figures.select("model_version").first()
    return None if row is None else str(row["model_version"])


def _values(tables: Tables, split: str, version: str) -> tuple[dict[str, float], int]:
    """Metric -> figure over all test users, and their number."""
    figures = tables.read("evaluations").where((F.col("split_id") == split) & (F.col("model_version") == version))
    rows = figures.where("part = 'test' AND slice = 'all'").select("metric", "value", "users").collect()
    return {row["metric"]: row["value"] for row in rows}, max(row["users"] for row in rows)


def _names(tables: Tables, config: BaseConfig, entry: Entry) -> tuple[str, str]:
    data_version = tables.data_version("interactions")
    split = split_id(config.split, config.run.seed, data_version)
    settings = config.settings_of(entry.kind)
    return split, version_name(entry.kind, settings, config.run.seed, data_version, split, entry.fit)


def _config(base: BaseConfig, dataset: DataSet, flags: dict[str, str]) -> BaseConfig:
    """The configuration that these flags give on a command line, with tables in a folder of the data set's own."""
    roots = {"tables.root": f"{base.tables.root}/{dataset.name}", "files.root": f"{base.files_root}/{dataset.name}"}
    words = [word for key, value in {**roots, **flags}.items() for word in (f"--{key}", value)]
    config = load_config(words, {})
    return config.model_copy(update={name: getattr(base, name) for name in PASSED_ON})


def _with(config: BaseConfig, section: str, **values: Any) -> BaseConfig:
    changed = getattr(config, section).model_copy(update=values)
    return config.model_copy(update={section: changed})
