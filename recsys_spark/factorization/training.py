"""Training a kind on Spark, and keeping it: vectors in Delta, the scoring matrix in files, a row in models."""

import time
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.factorization.plan import Plan
from recsys_spark.job import JobRun
from recsys_spark.model_versions import record_model
from recsys_spark.preparation.training_pairs import index_sizes
from recsys_spark.ranking.item_matrix import write_item_matrix
from recsys_spark.registry import load_kind
from recsys_spark.session import checkpoint_dir, parallelism

__all__ = ["train"]


def train(run: JobRun, plan: Plan) -> None:
    """Trains one version on its pairs; its row in models comes last and makes it complete.

    Raises TrainingError when there is nothing to train on.
    """
    n_items = index_sizes(run.tables)[1]
    root = Path(run.config.files_root)
    folder = root / plan.artifact
    folder.mkdir(parents=True, exist_ok=True)
    model = load_kind(plan.kind)(plan.settings)
    started = time.monotonic()
    with checkpoint_dir(run.spark, root / "checkpoints"):
        fitted = model.fit(plan.pairs.train, folder, plan.seed, parallelism(run.spark))
        for table, vectors in (("user_vectors", fitted.user_vectors), ("item_vectors", fitted.item_vectors)):
            if vectors is not None:
                rows = vectors.withColumn("model_version", F.lit(plan.version))
                run.tables.replace(table, rows, "model_version", plan.version)
        if isinstance(fitted.matrix, DataFrame):
            limit = run.config.outputs.max_item_matrix_bytes
            write_item_matrix(fitted.matrix, folder / "items", n_items, limit)
    metrics = {**fitted.metrics, "fit_seconds": time.monotonic() - started}
    described = {**plan.row, "selection_metric": model.metric}
    record_model(run.spark, run.tables, plan.version, plan.kind, plan.params, metrics, plan.artifact, **described)
    run.count(**{name: int(value) for name, value in fitted.metrics.items()})
