"""Training a kind on Spark, and keeping it: vectors in Delta, the scoring matrix in files, a row in models."""

from pathlib import Path

from pydantic import BaseModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.errors import MissingInputError
from recsys_spark.job import JobRun
from recsys_spark.model_versions import is_recorded, record_model
from recsys_spark.preparation.training_pairs import TrainingPairs, index_sizes
from recsys_spark.ranking.item_matrix import ItemMatrix, write_item_matrix
from recsys_spark.registry import load_kind
from recsys_spark.session import checkpoint_dir, parallelism

__all__ = ["is_trained", "train"]


def is_trained(run: JobRun, version: str) -> bool:
    """Whether a version has its row in models and what scoring maps; files that were cleared away are made again."""
    if not is_recorded(run.tables, version):
        return False
    try:
        ItemMatrix.open(Path(run.config.files_root) / "models" / version / "items")
    except MissingInputError:
        return False
    return True


def train(run: JobRun, kind: str, settings: BaseModel, version: str, pairs: TrainingPairs) -> None:
    """Trains one version on the given pairs; its row in models comes last and makes it complete.

    Raises TrainingError when there is nothing to train on.
    """
    n_items = index_sizes(run.tables)[1]
    artifact = f"models/{version}"
    root = Path(run.config.files_root)
    folder = root / artifact
    folder.mkdir(parents=True, exist_ok=True)
    model = load_kind(kind)(settings)
    with checkpoint_dir(run.spark, root / "checkpoints"):
        fitted = model.fit(pairs.train, folder, run.config.run.seed, parallelism(run.spark))
        for table, vectors in (("user_vectors", fitted.user_vectors), ("item_vectors", fitted.item_vectors)):
            if vectors is not None:
                rows = vectors.withColumn("model_version", F.lit(version))
                run.tables.replace(table, rows, "model_version", version)
        if isinstance(fitted.matrix, DataFrame):
            limit = run.config.outputs.max_item_matrix_bytes
            write_item_matrix(fitted.matrix, folder / "items", n_items, limit)
    params = {"settings": settings.model_dump(mode="json"), "seed": run.config.run.seed}
    record_model(run.spark, run.tables, version, kind, params, fitted.metrics, artifact, pairs.split_id)
    run.count(**{name: int(value) for name, value in fitted.metrics.items()})
