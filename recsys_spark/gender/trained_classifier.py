"""Trained gender classifiers as model versions, stored as JSON and item matrices."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recsys_spark.config.gender import FeatureSet
from recsys_spark.config.model import BaseConfig
from recsys_spark.core.atomic_files import write_json
from recsys_spark.core.errors import ConfigError
from recsys_spark.gender.classifier import Classifier
from recsys_spark.gender.feature_arrays import Features
from recsys_spark.gender.linear_model import FILE, LinearModel, read_linear_model
from recsys_spark.models.versions import ModelVersion, find_model, kind_of
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.matrix_writer import write_item_arrays
from recsys_spark.ranking.scorer import VectorScorer
from recsys_spark.recommend.trained_model import TrainedModel, load_model
from recsys_spark.storage.model_files import missing_files
from recsys_spark.storage.tables import Tables

__all__ = [
    "KIND",
    "TrainedClassifier",
    "find_classifier",
    "find_source",
    "is_complete",
    "load_classifier",
    "save_classifier",
]

KIND = "gender"


@dataclass(frozen=True)
class TrainedClassifier:
    """A classifier version loaded for prediction; `source` is the model that gives its vectors, or None."""

    version: ModelVersion
    model: LinearModel
    source: TrainedModel | None
    described: dict[str, Any]


def save_classifier(
    classifier: Classifier, features: Features, source: TrainedModel | None, folder: Path, max_bytes: int
) -> LinearModel:
    """Write a trained classifier below `folder`; its JSON file, written last, marks it as complete."""
    k = features.n_codes
    item_weights = None
    if features.tf_idf is not None:
        rows = classifier.weights[:, k:].T.astype(np.float32)
        item_weights = write_item_arrays(rows, folder / "item_weights", len(rows), len(classifier.labels), max_bytes)
    described: dict[str, Any] = {
        "labels": classifier.labels,
        "class_users": classifier.class_users,
        "bias": classifier.bias.tolist(),
        "code_weights": classifier.weights[:, :k].tolist(),
        "source_version": None if source is None else source.version.version,
        "code_mean": None if features.codes is None else features.codes.mean.tolist(),
        "code_scale": None if features.codes is None else features.codes.scale.tolist(),
        "tf_idf": features.tf_idf is not None,
        "reg_param": classifier.reg_param,
        "log_loss": classifier.log_loss,
        "ece": classifier.reliability.ece,
        "reliability": [bin_._asdict() for bin_ in classifier.reliability.curve],
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / FILE, described)
    return LinearModel(classifier.labels, features, classifier.weights[:, :k], item_weights, classifier.bias)


def is_complete(folder: Path) -> bool:
    """Return True if the folder holds a complete classifier."""
    return (folder / FILE).is_file() and not missing_files(folder)


def find_classifier(tables: Tables, version: str | None) -> ModelVersion:
    """Return a version of a classifier, or the newest one for None (model.version).

    Raises ConfigError for the version of another kind, MissingInputError where there is none.
    """
    if version is not None and not version.startswith(f"{KIND}-"):
        raise ConfigError(f"model.version: {version} is no gender classifier: name one, or unset it to take the newest")
    return find_model(tables, KIND, version)


def load_classifier(tables: Tables, files_root: str, version: ModelVersion) -> TrainedClassifier:
    """Load a classifier and the model that gives its vectors.

    Raises MissingInputError where files are missing.
    """
    sources: list[TrainedModel] = []

    def load_source(name: str) -> tuple[VectorScorer, ItemMatrix]:
        sources.append(load_model(files_root, find_model(tables, kind_of(name), name)))
        scorer = sources[0].scorer
        assert isinstance(scorer, VectorScorer)
        return scorer, sources[0].matrix

    model, described = read_linear_model(Path(files_root) / version.artifact, version.version, load_source)
    return TrainedClassifier(version, model, sources[0] if sources else None, described)


def find_source(tables: Tables, config: BaseConfig, wanted: FeatureSet) -> TrainedModel | None:
    """Return the model that gives vectors: model.version, or the newest of model.kind.

    Returns None for TF-IDF features alone.
    """
    if wanted == "tf_idf":
        return None
    return load_model(config.files_root, find_model(tables, config.model.kind, config.model.version))
