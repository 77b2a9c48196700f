"""Training a network and keeping it: weights in files, vectors in Delta, a row in models that comes last."""

import logging
import shutil
from pathlib import Path

from pyspark.sql import functions as F

from recsys_spark.inference.network_vectors import network_vectors
from recsys_spark.models.training_plan import TrainingPlan
from recsys_spark.models.versions import record_model
from recsys_spark.preparation.shard_sets import ShardSet
from recsys_spark.runtime.job import JobRun
from recsys_spark.storage.model_files import list_files_of_model, lost_files
from recsys_spark.storage.shard_format import Manifest
from recsys_spark.training.distributed import run_training, threads_of
from recsys_spark.training.progress import logged_seconds
from recsys_spark.training.spec import TrainSpec

__all__ = ["train_network", "training_spec"]

log = logging.getLogger(__name__)


def train_network(run: JobRun, plan: TrainingPlan, shards: ShardSet) -> None:
    """Trains one version from its shards, going on where an earlier run was stopped.

    With `training.max_steps` it is a trial, and no model comes of it. Raises TrainingError when training fails,
    ConfigError for what this session cannot run.
    """
    folder = Path(run.config.files_root) / plan.artifact
    if lost_files(folder):
        # It was trained to its end, so that no checkpoint leads back to what is gone.
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    report = run_training(run.spark, training_spec(run, plan, folder, shards), run.config.training)
    manifest = Manifest.read(shards.train)
    run.count(rows=manifest.rows, non_zeros=manifest.non_zeros, epochs=report["epochs"], steps=report["steps"])
    run.count(**{f"rows_of_rank_{rank}": rows for rank, rows in enumerate(report["rows_of_ranks"])})
    if run.config.training.max_steps:
        log.info("a trial, of which no model is kept: %s", plan.version)
        return
    limit = run.config.outputs.max_item_matrix_bytes
    vectors = network_vectors(run.spark, folder, shards.train, manifest, limit)
    for table, rows in (("user_vectors", vectors.user_vectors), ("item_vectors", vectors.item_vectors)):
        run.tables.replace(table, rows.withColumn("model_version", F.lit(plan.version)), "model_version", plan.version)
    list_files_of_model(folder)
    metric = report["metric_name"]
    metrics = {} if report["metric"] is None else {metric: report["metric"]}
    metrics |= {name: float(report[name]) for name in ("epochs", "steps", "best_epoch")}
    metrics["fit_seconds"] = logged_seconds(folder / "log.jsonl")
    described = {**plan.row, "selection_metric": metric}
    record_model(run.tables, plan.version, plan.kind, plan.params, metrics, plan.artifact, **described)


def training_spec(run: JobRun, plan: TrainingPlan, folder: Path, shards: ShardSet, stop_after: int = 0) -> TrainSpec:
    """What the processes are told. A last fit ends after the epoch that was its parent's best, unless `stop_after`
    says another.
    """
    training = run.config.training
    return TrainSpec(
        kind=plan.kind,
        settings=plan.settings.model_dump(mode="json"),
        seed=plan.seed,
        train_folder=str(shards.train),
        validation_folder=None if shards.validation is None else str(shards.validation),
        folder=str(folder),
        use_gpu=training.use_gpu,
        mixed_precision=training.mixed_precision,
        threads=threads_of(training),
        checkpoint_minutes=training.checkpoint_minutes,
        keep_checkpoints=training.keep_checkpoints,
        timeout_minutes=training.timeout_minutes,
        max_steps=training.max_steps,
        stop_after=stop_after or _epochs_of_parent(plan),
        tracking_uri=training.tracking_uri,
    )


def _epochs_of_parent(plan: TrainingPlan) -> int:
    """0 where nothing was validated: all epochs of the settings."""
    if plan.parent is None or plan.parent.selection_metric not in plan.parent.metrics:
        return 0
    return int(plan.parent.metrics["best_epoch"]) + 1
