"""Rows of the table item_similarity: from a model's vectors, or from shared users as a version of its own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.names import ITEM_KNN, SIMILARITY_METRIC
from recsys_spark.models.training_plan import TrainingPlan, plan_version
from recsys_spark.models.versions import find_model, record_model
from recsys_spark.preparation.training_pairs import training_pairs
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.recommend.cold_items import cold_items_fingerprint, load_catalogue
from recsys_spark.recommend.names import with_item_ids
from recsys_spark.recommend.shared_users import nearest_by_users, with_weight, write_scales
from recsys_spark.recommend.similarity import item_similarity
from recsys_spark.recommend.trained_model import load_model, n_items
from recsys_spark.runtime.spark_context import block_tasks, parallelism
from recsys_spark.storage.tables import Tables

__all__ = ["SimilarityLists", "plan_lists"]


@dataclass(frozen=True)
class SimilarityLists:
    """The lists of one version, and how they are computed.

    `fingerprint` changes when the lists of the same version may change. `compute` returns the rows of similarity.SCHEMA
    and counts to report. `plan` is set for lists that are a version of their own.
    """

    version: str
    kind: str
    fingerprint: str
    compute: Callable[[], tuple[DataFrame, dict[str, int]]] = field(repr=False)
    plan: TrainingPlan | None = None

    def is_written(self, tables: Tables) -> bool:
        """Return True if the lists were built from the same inputs before."""
        return tables.built_from("item_similarity", self.version) == self.fingerprint

    def write(self, tables: Tables) -> dict[str, int]:
        """Compute the lists, write them in one commit and return counts."""
        nearest, counts = self.compute()
        rows = with_item_ids(nearest, tables.read("item_index"), "item_idx", "similar_item_idx")
        rows = rows.withColumns({"model_version": F.lit(self.version), "algorithm": F.lit(self.kind)})
        tables.replace("item_similarity", rows, "model_version", self.version, fingerprint=self.fingerprint)
        written = tables.read("item_similarity").where(F.col("model_version") == self.version)
        return {**counts, "similar_items": written.count()}

    def record(self, tables: Tables) -> None:
        """Add the row of a version of its own to models; it is written last."""
        if self.plan is not None:
            described = {**self.plan.row, "selection_metric": SIMILARITY_METRIC}
            record_model(tables, self.version, self.kind, self.plan.params, {}, self.plan.artifact, **described)


def plan_lists(tables: Tables, config: BaseConfig) -> SimilarityLists:
    """Return the lists that the configuration describes.

    Those of vectors belong to the version of model.kind or model.version. Others are a version of kind item_knn, whose
    name is a hash of the settings and the pairs: all interactions, or those that split and model.fit select.
    """
    settings = config.similarity
    if settings.has_version:
        plan = plan_version(tables, config, ITEM_KNN, settings, training_pairs(tables, config))
        return SimilarityLists(
            plan.version, ITEM_KNN, plan.version, lambda: _lists_by_users(tables, config, plan), plan
        )
    version = find_model(tables, config.model.kind, config.model.version)
    fingerprint = f"neighbours={settings.neighbours}{cold_items_fingerprint(tables, config)}"

    def by_vectors() -> tuple[DataFrame, dict[str, int]]:
        catalogue = load_catalogue(tables, config, load_model(config.files_root, version))
        vectors: ItemMatrix = catalogue.item_vectors
        nearest = item_similarity(tables.spark, vectors, settings.neighbours, block_tasks(tables.spark))
        return nearest, catalogue.counts

    return SimilarityLists(version.version, version.kind, fingerprint, by_vectors)


def _lists_by_users(tables: Tables, config: BaseConfig, plan: TrainingPlan) -> tuple[DataFrame, dict[str, int]]:
    settings, folder = config.similarity, Path(config.files_root) / plan.artifact / "scales"
    weighted = with_weight(plan.pairs.train, settings)
    scales = write_scales(weighted, settings, folder, n_items(tables), config.outputs.max_item_matrix_bytes)
    tasks = parallelism(tables.spark)
    return nearest_by_users(weighted, scales, settings.neighbours, settings.shrinkage, tasks), {}
