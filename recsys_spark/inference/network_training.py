"""Training of one network version: weight files, vectors in Delta, and its row in models, written last."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyspark.sql import functions as F

from recsys_spark.config.model import BaseConfig
from recsys_spark.config.training import TrainingSettings
from recsys_spark.inference.network_vectors import network_vectors
from recsys_spark.models.training_plan import TrainingPlan
from recsys_spark.models.versions import record_model
from recsys_spark.networks.network import load_network
from recsys_spark.preparation.shard_sets import ShardSet
from recsys_spark.storage.model_files import missing_files, write_file_list
from recsys_spark.storage.shard_format import Manifest
from recsys_spark.storage.tables import Tables
from recsys_spark.training.distributed import run_training, threads_per_process
from recsys_spark.training.progress import logged_seconds
from recsys_spark.training.spec import TrainSpec

__all__ = ["build_train_spec", "train_network", "unmeasured_sentence"]

log = logging.getLogger(__name__)


def train_network(tables: Tables, config: BaseConfig, plan: TrainingPlan, shards: ShardSet) -> dict[str, int]:
    """Train one version from its shards, resuming an interrupted run, and return its counts.

    With `training.max_steps` the run is a trial and writes no model. Raises TrainingError if training fails,
    ConfigError for settings that this session cannot run.
    """
    folder = Path(config.files_root) / plan.artifact
    if missing_files(folder):
        # Training had finished, so no checkpoint can restore the missing files.
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if shards.validation is None:
        log.info("%s", unmeasured_sentence(plan.pairs.split_id, plan.pairs.fit, load_network(plan.kind).metric))
    report = run_training(tables.spark, build_train_spec(config.training, plan, folder, shards), config.training)
    manifest = Manifest.read(shards.train)
    counts = {"rows": manifest.rows, "non_zeros": manifest.non_zeros}
    counts |= {"epochs": report["epochs"], "steps": report["steps"]}
    counts |= {f"rows_of_rank_{rank}": rows for rank, rows in enumerate(report["rows_of_ranks"])}
    if config.training.max_steps:
        log.info("%s was a trial of training.max_steps steps: no model is written", plan.version)
        return counts
    _record_network(tables, config, plan, folder, shards, report)
    return counts


def unmeasured_sentence(split_id: str | None, fit: str, metric: str) -> str:
    """Return why a training without validation pairs has no metric, and the setting for one."""
    if split_id is None:
        return (
            f"nothing is measured, because there is no split: all epochs are trained and the last weights kept. Set "
            f"split.protocol and run split_interactions to measure {metric} after each epoch"
        )
    if fit != "train":
        return (
            f"nothing is measured, because model.fit = {fit} trains on the validation pairs too: the epochs are those "
            f"that were best with model.fit = train. Set model.fit to train to measure {metric} after each epoch"
        )
    return (
        f"nothing is measured, because the split {split_id} has no validation pairs: all epochs are trained and the "
        f"last weights kept. Change the split, such as split.validation_share, to measure {metric} after each epoch"
    )


def _record_network(
    tables: Tables, config: BaseConfig, plan: TrainingPlan, folder: Path, shards: ShardSet, report: Mapping[str, Any]
) -> None:
    """Write the vectors, the list of files, and the row in models."""
    manifest, limit = Manifest.read(shards.train), config.outputs.max_item_matrix_bytes
    vectors = network_vectors(tables.spark, folder, shards.train, manifest, limit)
    for table, rows in (("user_vectors", vectors.user_vectors), ("item_vectors", vectors.item_vectors)):
        tables.replace(table, rows.withColumn("model_version", F.lit(plan.version)), "model_version", plan.version)
    write_file_list(folder)
    metric = report["metric_name"]
    metrics = {name: float(report[name]) for name in ("epochs", "steps")}
    if report["metric"] is not None:
        metrics |= {metric: report["metric"], "best_epoch": float(report["best_epoch"])}
    metrics["fit_seconds"] = logged_seconds(folder / "log.jsonl")
    described = {**plan.row, "selection_metric": metric}
    record_model(tables, plan.version, plan.kind, plan.params, metrics, plan.artifact, **described)


def build_train_spec(
    training: TrainingSettings, plan: TrainingPlan, folder: Path, shards: ShardSet, stop_after: int = 0
) -> TrainSpec:
    """Build the specification of a training run for its processes.

    A last fit ends after the best epoch of its parent, unless `stop_after` gives another epoch.
    """
    return TrainSpec(
        kind=plan.kind,
        settings=plan.settings.model_dump(mode="json"),
        seed=plan.seed,
        train_folder=str(shards.train),
        validation_folder=None if shards.validation is None else str(shards.validation),
        folder=str(folder),
        use_gpu=training.use_gpu,
        precision=training.precision,
        compile=training.compile,
        threads=threads_per_process(training),
        checkpoint_minutes=training.checkpoint_minutes,
        keep_checkpoints=training.keep_checkpoints,
        timeout_minutes=training.timeout_minutes,
        max_steps=training.max_steps,
        stop_after=stop_after or _epochs_of_parent(plan),
    )


def _epochs_of_parent(plan: TrainingPlan) -> int:
    """Return the epochs up to the parent's best one; 0, for all epochs, without a validated parent."""
    if plan.parent is None or plan.parent.selection_metric not in plan.parent.metrics:
        return 0
    return int(plan.parent.metrics["best_epoch"]) + 1
