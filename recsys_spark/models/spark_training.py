"""Training a kind on Spark, and keeping it: vectors in Delta, the scoring matrix in files, a row in models."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.models.kind import Fitted, ModelKind, load_kind
from recsys_spark.models.training_plan import Plan
from recsys_spark.models.versions import record_model
from recsys_spark.preparation.training_pairs import index_sizes
from recsys_spark.ranking.item_matrix import ItemMatrix, write_item_matrix
from recsys_spark.runtime.job import JobRun
from recsys_spark.runtime.session import checkpoint_dir, parallelism
from recsys_spark.storage.model_files import list_files_of_model

__all__ = ["fitted_model", "train"]


@contextmanager
def fitted_model(run: JobRun, plan: Plan, folder: Path) -> Iterator[tuple[ModelKind, Fitted, ItemMatrix]]:
    """Trains on the plan's pairs; what scoring needs lies below `folder` then. Frames can be read within the context,
    while Spark's checkpoints are there.

    Raises TrainingError when there is nothing to train on.
    """
    n_items = index_sizes(run.tables)[1]
    # Another number of blocks gives other factors: what a killed run left must not meet the vectors of this one.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    model = load_kind(plan.kind)(plan.settings)
    with checkpoint_dir(run.spark, Path(run.config.files_root) / "checkpoints"):
        fitted = model.fit(plan.pairs.train, folder, plan.seed, parallelism(run.spark))
        try:
            matrix = fitted.matrix
            if isinstance(matrix, DataFrame):
                matrix = write_item_matrix(matrix, folder / "items", n_items, run.config.outputs.max_item_matrix_bytes)
            yield model, fitted, matrix
        finally:
            for frame in fitted.cached:
                frame.unpersist()


def train(run: JobRun, plan: Plan) -> None:
    """Trains one version on its pairs; its row in models comes last and makes it complete.

    Raises TrainingError when there is nothing to train on.
    """
    started, folder = time.monotonic(), Path(run.config.files_root) / plan.artifact
    with fitted_model(run, plan, folder) as (model, fitted, _):
        for table, vectors in (("user_vectors", fitted.user_vectors), ("item_vectors", fitted.item_vectors)):
            if vectors is not None:
                rows = vectors.withColumn("model_version", F.lit(plan.version))
                run.tables.replace(table, rows, "model_version", plan.version)
    list_files_of_model(folder)
    metrics = {**fitted.metrics, "fit_seconds": time.monotonic() - started}
    described = {**plan.row, "selection_metric": model.metric}
    record_model(run.spark, run.tables, plan.version, plan.kind, plan.params, metrics, plan.artifact, **described)
    run.count(**{name: int(value) for name, value in fitted.metrics.items()})
