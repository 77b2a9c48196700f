"""Items that a model has no vector of, made comparable by what is said of them.

A model knows nothing of an item that came later, or that nobody has played. Where its attributes and the words of its
name are those of other items, a vector is predicted from theirs (attribute_ridge.py says what such a vector is worth),
and the item has neighbours and a place on lists. Of an item of which nothing usable is said there is none, and it is
counted.
"""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.atomic_files import write_json
from recsys_spark.core.logs import step
from recsys_spark.models.attribute_ridge import fit_attribute_ridge, predicted_vectors
from recsys_spark.preparation.item_features import feature_entries, fit_vocabulary, item_features
from recsys_spark.ranking.extended_scorer import ExtendedScorer
from recsys_spark.ranking.item_matrix import ItemMatrix, write_item_matrix
from recsys_spark.ranking.matrix_files import save_item_matrix
from recsys_spark.ranking.matrix_frames import matrix_frame
from recsys_spark.ranking.scorer import ProductScorer, Scorer
from recsys_spark.recommend.stored_model import StoredModel, n_items
from recsys_spark.runtime.job import JobRun

__all__ = ["ContentItems", "ServedItems", "content_fingerprint", "content_items", "served_items"]

COUNTS = "counts.json"


@dataclass(frozen=True)
class ContentItems:
    """A model's matrices with predicted rows, as long as item_index: `scores` instead of StoredModel.matrix, `vectors`
    instead of item_vectors. `flags` (n_items, 1) is not zero for predicted items.
    """

    scores: ItemMatrix
    vectors: ItemMatrix
    flags: ItemMatrix

    def scorer(self, base: Scorer) -> Scorer:
        """The model's scorer for these items as well; unchanged where its scores are no products of vectors."""
        return ExtendedScorer(base, self.scores) if isinstance(base, ProductScorer) else base


def content_fingerprint(run: JobRun) -> str:
    """Changes when predicted vectors may; empty where content is not enabled."""
    settings = run.config.content
    if not settings.enabled:
        return ""
    tables = ["items", "item_index", *(["interactions"] if settings.min_plays > 1 else [])]
    text = json.dumps([settings.model_dump(mode="json"), {name: run.tables.data_version(name) for name in tables}])
    return f" content={hashlib.sha256(text.encode()).hexdigest()[:12]}"


def content_items(run: JobRun, stored: StoredModel) -> ContentItems | None:
    """The model with predicted items; None where content is not enabled, the kind has no item vectors, or nothing can
    be predicted.

    Matrices lie below the model's folder, and are used again while settings, items and item_index are the same. The
    driver holds twice the normal equations (fit_attribute_ridge) and a vocabulary of content.max_features.
    """
    fingerprint = content_fingerprint(run)
    if not fingerprint or not stored.kind.has_item_vectors:
        return None
    folder = stored.folder / "content" / fingerprint.partition("=")[2]
    if not (folder / COUNTS).exists():
        for older in folder.parent.glob("*"):
            shutil.rmtree(older)
        with step(f"vectors of new items of {stored.version.version}"):
            _write(run, stored, folder)
    counts = json.loads((folder / COUNTS).read_text())
    run.count(**counts)
    if not counts["items_content"]:
        return None
    matrices = [ItemMatrix.open(folder / name) for name in _matrices(stored)]
    return ContentItems(matrices[0], matrices[-1], ItemMatrix.open(folder / "new"))


class ServedItems(NamedTuple):
    """The scorer of all items that have a vector, the vectors (None where the kind has none), and ContentItems.flags
    (None where none is predicted).
    """

    scorer: Scorer
    vectors: ItemMatrix | None
    predicted: ItemMatrix | None


def served_items(run: JobRun, stored: StoredModel) -> ServedItems:
    """What lists are made from, with predicted items where content_items has some."""
    content = content_items(run, stored)
    if content is not None:
        return ServedItems(content.scorer(stored.scorer), content.vectors, content.flags)
    return ServedItems(stored.scorer, stored.item_vectors if stored.kind.has_item_vectors else None, None)


def _matrices(stored: StoredModel) -> dict[str, ItemMatrix]:
    """What scores come from, and the item vectors where the kind keeps them apart."""
    apart = {} if stored.item_vectors == stored.matrix else {"item_vectors": stored.item_vectors}
    return {"items": stored.matrix, **apart}


def _write(run: JobRun, stored: StoredModel, folder: Path) -> None:
    """All matrices; the counts come last and say that they are complete."""
    known = matrix_frame(run.spark, stored.matrix, "item").select("item_idx").persist()
    learnt = known.join(_little_played(run), on="item_idx", how="left_anti").persist()
    features = _features(run).persist()
    try:
        predicted = _predicted(run, stored, folder, features, learnt)
        described = 0 if predicted is None else _save(run, stored, folder, predicted)
        lacking = features.join(known, on="item_idx", how="left_anti")
        if predicted is not None:
            lacking = lacking.join(predicted, on="item_idx", how="left_anti")
        counts = {"items_content": described, "items_without_attributes": lacking.count()}
    finally:
        for frame in (known, learnt, features):
            frame.unpersist()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / COUNTS, counts)


def _predicted(
    run: JobRun, stored: StoredModel, folder: Path, features: DataFrame, learnt: DataFrame
) -> DataFrame | None:
    """(item_idx INT, vector ARRAY<FLOAT>) of the items of `features` that are not in `learnt`, one vector after the
    other of _matrices; None where no feature is frequent enough to learn from.
    """
    settings, limit = run.config.content, run.config.outputs.max_item_matrix_bytes
    teachers = features.join(learnt, on="item_idx", how="left_semi")
    vocabulary = fit_vocabulary(teachers, settings.min_items, settings.max_features)
    if not vocabulary:
        return None
    entries = feature_entries(features, vocabulary, teachers.count())
    matrices = tuple(_matrices(stored).values())
    taught = entries.join(learnt, on="item_idx", how="left_semi")
    solved = fit_attribute_ridge(taught, matrices, len(vocabulary), settings.reg_param, folder / "sums")
    size, rank = solved.shape
    coefficients = save_item_matrix(solved.astype(np.float32), folder / "coefficients", size, rank, limit)
    return predicted_vectors(entries.join(learnt, on="item_idx", how="left_anti"), coefficients)


def _save(run: JobRun, stored: StoredModel, folder: Path, predicted: DataFrame) -> int:
    """The number of predicted items; without any nothing is written."""
    size, limit, first = n_items(run), run.config.outputs.max_item_matrix_bytes, 1
    number = predicted.count()
    if not number:
        return 0
    for name, matrix in _matrices(stored).items():
        own = predicted.select("item_idx", F.slice("vector", first, matrix.rank).alias("vector"))
        trained = matrix_frame(run.spark, matrix, "item").join(predicted, on="item_idx", how="left_anti")
        write_item_matrix(trained.unionByName(own), folder / name, size, limit)
        first += matrix.rank
    ones = predicted.select("item_idx", F.array(F.lit(1.0).cast("float")).alias("vector"))
    write_item_matrix(ones, folder / "new", size, limit)
    return number


def _features(run: JobRun) -> DataFrame:
    """(item_idx INT, features ARRAY<STRING>) of every item that has a number."""
    index = run.tables.read("item_index").where("item_id IS NOT NULL")
    said = index.join(item_features(run.tables.read("items")), on="item_id", how="left")
    return said.select("item_idx", F.coalesce("features", F.array().cast("array<string>")).alias("features"))


def _little_played(run: JobRun) -> DataFrame:
    """(item_idx INT) of played items that count as new all the same."""
    plays = run.tables.read("interactions").groupBy("item_idx").agg(F.sum("play_count").alias("plays"))
    return plays.where(F.col("plays") < run.config.content.min_plays).select("item_idx")
