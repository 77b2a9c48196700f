"""Predicted vectors of cold items: items that a model has no vector of.

An item is cold if it came after the training or has no plays. Its vector is predicted from its attributes
and the words of its name, as far as other items share them (attribute_ridge.py describes the quality of such vectors).
Cold items with a vector have neighbours and can be recommended. Items without a usable attribute or word stay without
a vector and are counted.
"""

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.atomic_files import write_json
from recsys_spark.core.logs import step
from recsys_spark.models.attribute_ridge import fit_attribute_ridge, predicted_vectors
from recsys_spark.preparation.item_features import feature_entries, fit_vocabulary, item_features
from recsys_spark.ranking.dot_scorer import ExtendedScorer
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.matrix_frames import matrix_frame
from recsys_spark.ranking.matrix_writer import write_item_arrays, write_item_matrix
from recsys_spark.ranking.scorer import ProductScorer, Scorer
from recsys_spark.recommend.trained_model import TrainedModel, n_items
from recsys_spark.storage.tables import Tables

__all__ = ["ColdItems", "ItemCatalogue", "cold_items_fingerprint", "load_catalogue"]

COUNTS = "counts.json"


@dataclass(frozen=True)
class ColdItems:
    """A model's matrices with the rows of cold items, as long as item_index.

    `scores` replaces TrainedModel.matrix and `vectors` replaces TrainedModel.item_vectors. `flags` (n_items, 1) is not
    zero for items with a predicted vector.
    """

    scores: ItemMatrix
    vectors: ItemMatrix
    flags: ItemMatrix


@dataclass(frozen=True)
class ItemCatalogue:
    """The items that have a vector or a score: those of the model, and cold items where some are predicted.

    `counts` has the rows to report: items_content and items_without_attributes, empty where nothing is predicted.
    """

    model: TrainedModel
    cold: ColdItems | None = None
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def scorer(self) -> Scorer:
        """Return the model's scorer, extended to cold items where its scores are products of vectors."""
        scorer = self.model.scorer
        if self.cold is None or not isinstance(scorer, ProductScorer):
            return scorer
        return ExtendedScorer(scorer, self.cold.scores)

    @property
    def item_vectors(self) -> ItemMatrix:
        """Return the vectors of all items.

        Raises ConfigError for a kind without item vectors.
        """
        return self.model.item_vectors if self.cold is None else self.cold.vectors

    @property
    def predicted(self) -> ItemMatrix | None:
        """Return ColdItems.flags, or None where no vector is predicted."""
        return None if self.cold is None else self.cold.flags


def cold_items_fingerprint(tables: Tables, config: BaseConfig) -> str:
    """Return a text that changes when predicted vectors may change; empty if content is disabled."""
    settings = config.content
    if not settings.enabled:
        return ""
    inputs = ["items", "item_index", *(["interactions"] if settings.min_plays > 1 else [])]
    text = json.dumps([settings.model_dump(mode="json"), {name: tables.data_state(name) for name in inputs}])
    return f" content={hashlib.sha256(text.encode()).hexdigest()[:12]}"


def load_catalogue(tables: Tables, config: BaseConfig, model: TrainedModel) -> ItemCatalogue:
    """Return the items of a model and its cold items.

    The first call predicts the vectors of cold items.
    There are no cold items where content is not enabled, the kind has no item vectors, or no feature is frequent
    enough. Matrices are kept below the model's folder and used again while the settings, items and item_index are the
    same. The driver holds twice the normal equations (fit_attribute_ridge) and a vocabulary of content.max_features.
    """
    fingerprint = cold_items_fingerprint(tables, config)
    if not fingerprint or not model.kind.has_item_vectors:
        return ItemCatalogue(model)
    folder = model.folder / "content" / fingerprint.partition("=")[2]
    if not (folder / COUNTS).exists():
        for older in folder.parent.glob("*"):
            shutil.rmtree(older)
        with step(f"computing vectors of cold items of {model.version.version}"):
            _write(tables, config, model, folder)
    counts = json.loads((folder / COUNTS).read_text())
    if not counts["items_content"]:
        return ItemCatalogue(model, None, counts)
    matrices = [ItemMatrix.open(folder / name) for name in _matrices(model)]
    return ItemCatalogue(model, ColdItems(matrices[0], matrices[-1], ItemMatrix.open(folder / "new")), counts)


def _matrices(model: TrainedModel) -> dict[str, ItemMatrix]:
    """Return the model's matrices by folder name: for scores, and for item vectors if they differ."""
    apart = {} if model.item_vectors == model.matrix else {"item_vectors": model.item_vectors}
    return {"items": model.matrix, **apart}


def _write(tables: Tables, config: BaseConfig, model: TrainedModel, folder: Path) -> None:
    """Write all matrices, and the counts last, as the mark that the folder is complete."""
    trained = matrix_frame(tables.spark, model.matrix, "item").select("item_idx").persist()
    teachers = trained.join(_little_played(tables, config), on="item_idx", how="left_anti").persist()
    features = _features(tables).persist()
    try:
        predicted = _predict(config, model, folder, features, teachers)
        n_predicted = 0 if predicted is None else _save(tables, config, model, folder, predicted)
        without = features.join(trained, on="item_idx", how="left_anti")
        if predicted is not None:
            without = without.join(predicted, on="item_idx", how="left_anti")
        counts = {"items_content": n_predicted, "items_without_attributes": without.count()}
    finally:
        for frame in (trained, teachers, features):
            frame.unpersist()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / COUNTS, counts)


def _predict(
    config: BaseConfig, model: TrainedModel, folder: Path, features: DataFrame, teachers: DataFrame
) -> DataFrame | None:
    """Return (item_idx INT, vector ARRAY<FLOAT>) of the items of `features` that are not in `teachers`.

    A vector is the concatenation of the predicted rows of all _matrices. None where no feature is frequent enough to
    learn from.
    """
    settings, limit = config.content, config.outputs.max_item_matrix_bytes
    taught = features.join(teachers, on="item_idx", how="left_semi")
    vocabulary = fit_vocabulary(taught, settings.min_items, settings.max_features)
    if not vocabulary:
        return None
    entries = feature_entries(features, vocabulary, taught.count())
    matrices = tuple(_matrices(model).values())
    training_entries = entries.join(teachers, on="item_idx", how="left_semi")
    solved = fit_attribute_ridge(training_entries, matrices, len(vocabulary), settings.reg_param, folder / "sums")
    size, rank = solved.shape
    coefficients = write_item_arrays(solved.astype(np.float32), folder / "coefficients", size, rank, limit)
    return predicted_vectors(entries.join(teachers, on="item_idx", how="left_anti"), coefficients)


def _save(tables: Tables, config: BaseConfig, model: TrainedModel, folder: Path, predicted: DataFrame) -> int:
    """Write the matrices with predicted rows, if any, and return their number."""
    size, limit, first = n_items(tables), config.outputs.max_item_matrix_bytes, 1
    number = predicted.count()
    if not number:
        return 0
    for name, matrix in _matrices(model).items():
        own = predicted.select("item_idx", F.slice("vector", first, matrix.rank).alias("vector"))
        trained = matrix_frame(tables.spark, matrix, "item").join(predicted, on="item_idx", how="left_anti")
        write_item_matrix(trained.unionByName(own), folder / name, size, limit)
        first += matrix.rank
    ones = predicted.select("item_idx", F.array(F.lit(1.0).cast("float")).alias("vector"))
    write_item_matrix(ones, folder / "new", size, limit)
    return number


def _features(tables: Tables) -> DataFrame:
    """Return (item_idx INT, features ARRAY<STRING>) of every item in item_index."""
    index = tables.read("item_index").where("item_id IS NOT NULL")
    described = index.join(item_features(tables.read("items")), on="item_id", how="left")
    return described.select("item_idx", F.coalesce("features", F.array().cast("array<string>")).alias("features"))


def _little_played(tables: Tables, config: BaseConfig) -> DataFrame:
    """Return (item_idx INT) of the items with fewer plays than content.min_plays, which count as cold."""
    plays = tables.read("interactions").groupBy("item_idx").agg(F.sum("play_count").alias("plays"))
    return plays.where(F.col("plays") < config.content.min_plays).select("item_idx")
