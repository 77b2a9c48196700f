"""Training on Spark: vectors in Delta tables, the scoring matrix in files, a row in models."""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import ConfigError
from recsys_spark.models.kind import CHECKPOINTS, Fitted, ModelKind, StartVectors, load_kind
from recsys_spark.models.training_plan import TrainingPlan
from recsys_spark.models.versions import record_model
from recsys_spark.preparation.training_pairs import index_sizes
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.matrix_writer import write_item_matrix
from recsys_spark.runtime.spark_context import checkpoint_dir, is_remote, parallelism
from recsys_spark.storage.model_files import write_file_list
from recsys_spark.storage.tables import Tables

__all__ = ["fitted_model", "train"]

log = logging.getLogger(__name__)

VALUE_BYTES = 4


@contextmanager
def fitted_model(
    tables: Tables, config: BaseConfig, plan: TrainingPlan, folder: Path
) -> Iterator[tuple[ModelKind, Fitted, ItemMatrix]]:
    """Train on the plan's pairs and yield the kind, its result and the scoring matrix.

    The files that scoring needs are written below `folder`. The frames of the result are readable within the context
    only, as long as Spark's checkpoints exist.

    Raises TrainingError when there is nothing to train on, ConfigError for a model that Spark Connect does not take.
    """
    n_users, n_items = index_sizes(tables)
    model = load_kind(plan.kind)(plan.settings)
    _check_connect(tables, config, model.mllib_values * (n_users + n_items), plan.kind)
    model.start = _start_vectors(tables, plan)
    _clear(folder)
    with checkpoint_dir(tables.spark, Path(config.files_root) / "checkpoints"):
        fitted = model.fit(plan.pairs.train, folder, plan.seed, parallelism(tables.spark))
        try:
            matrix = fitted.matrix
            if isinstance(matrix, DataFrame):
                matrix = write_item_matrix(matrix, folder / "items", n_items, config.outputs.max_item_matrix_bytes)
            yield model, fitted, matrix
        finally:
            for frame in fitted.cached:
                frame.unpersist()


def train(tables: Tables, config: BaseConfig, plan: TrainingPlan) -> dict[str, int]:
    """Train one version and return its counts.

    The row in models is written last and marks the version as complete. Raises TrainingError when there is nothing to
    train on.
    """
    started, folder = time.monotonic(), Path(config.files_root) / plan.artifact
    with fitted_model(tables, config, plan, folder) as (model, fitted, _):
        for table, vectors in (("user_vectors", fitted.user_vectors), ("item_vectors", fitted.item_vectors)):
            if vectors is not None:
                rows = vectors.withColumn("model_version", F.lit(plan.version))
                tables.replace(table, rows, "model_version", plan.version)
    write_file_list(folder)
    metrics = {**fitted.metrics, "fit_seconds": time.monotonic() - started}
    described = {**plan.row, "selection_metric": model.metric}
    record_model(tables, plan.version, plan.kind, plan.params, metrics, plan.artifact, **described)
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return {name: int(value) for name, value in fitted.metrics.items()}


def _check_connect(tables: Tables, config: BaseConfig, values: int, kind: str) -> None:
    """Check the size of a model of MLlib for a Spark Connect server."""
    size, limit = VALUE_BYTES * values, config.spark.max_connect_model_bytes
    solver = "set models.als.solver to block_cg, " if kind == "als" else ""
    if is_remote(tables.spark) and size > limit:
        raise ConfigError(
            f"the factors of {kind} take {size:,} bytes, and a Spark Connect server is given at most"
            f" spark.max_connect_model_bytes = {limit:,}: raise it if the server takes more, lower models.{kind}.rank,"
            f" {solver}train lsa or ease instead, or run the job with spark-submit"
        )


def _clear(folder: Path) -> None:
    """Remove the files of a killed run, except its checkpoints.

    Another number of blocks gives other factors, so old files must not mix with new ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name == CHECKPOINTS:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _start_vectors(tables: Tables, plan: TrainingPlan) -> StartVectors | None:
    if plan.start is None:
        return None
    version = plan.start.version
    log.info("starting from the vectors of %s", version)
    users, items = (
        tables.read(f"{side}_vectors").where(F.col("model_version") == version).select(f"{side}_idx", "vector")
        for side in ("user", "item")
    )
    return StartVectors(version, users, items)
