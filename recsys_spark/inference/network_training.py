"""Training a network and keeping it: weights in files, vectors in Delta, a row in models that comes last."""

import logging
from pathlib import Path

from pydantic import BaseModel
from pyspark.sql import functions as F

from recsys_spark.inference.network_vectors import network_vectors
from recsys_spark.job import JobRun
from recsys_spark.model_versions import record_model
from recsys_spark.preparation.shard_sets import ShardSet
from recsys_spark.shard_files import Manifest
from recsys_spark.training.distributed import run_training, threads_of
from recsys_spark.training.spec import TrainSpec

__all__ = ["train_network"]

log = logging.getLogger(__name__)


def train_network(run: JobRun, kind: str, settings: BaseModel, version: str, shards: ShardSet) -> None:
    """Trains one version from its shards, going on where an earlier run was stopped.

    With `training.max_steps` it is a trial, and no model comes of it. Raises TrainingError when training fails,
    ConfigError for what this session cannot run.
    """
    artifact = f"models/{version}"
    folder = Path(run.config.files_root) / artifact
    folder.mkdir(parents=True, exist_ok=True)
    report = run_training(run.spark, _spec(run, kind, settings, folder, shards), run.config.training)
    manifest = Manifest.read(shards.train)
    run.count(rows=manifest.rows, non_zeros=manifest.non_zeros, epochs=report["epochs"], steps=report["steps"])
    run.count(**{f"rows_of_rank_{rank}": rows for rank, rows in enumerate(report["rows_of_ranks"])})
    if run.config.training.max_steps:
        log.info("a trial, of which no model is kept: %s", version)
        return
    limit = run.config.outputs.max_item_matrix_bytes
    vectors = network_vectors(run.spark, folder, shards.train, manifest, limit)
    for table, rows in (("user_vectors", vectors.user_vectors), ("item_vectors", vectors.item_vectors)):
        run.tables.replace(table, rows.withColumn("model_version", F.lit(version)), "model_version", version)
    metric = report["metric_name"]
    metrics = {} if report["metric"] is None else {metric: report["metric"]}
    metrics |= {name: float(report[name]) for name in ("epochs", "steps", "best_epoch")}
    params = {"settings": settings.model_dump(mode="json"), "seed": run.config.run.seed}
    split = shards.inputs["split_id"]
    record_model(run.spark, run.tables, version, kind, params, metrics, artifact, split, metric)


def _spec(run: JobRun, kind: str, settings: BaseModel, folder: Path, shards: ShardSet) -> TrainSpec:
    training = run.config.training
    return TrainSpec(
        kind=kind,
        settings=settings.model_dump(mode="json"),
        seed=run.config.run.seed,
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
        tracking_uri=training.tracking_uri,
    )
