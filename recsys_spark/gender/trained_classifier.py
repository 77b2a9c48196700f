"""A gender classifier as a version of models. Its files are JSON and item matrices: nothing in them can run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys_spark.config.gender import FeatureSet
from recsys_spark.core.atomic_files import write_json
from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.gender.classifier import Classifier
from recsys_spark.gender.feature_arrays import Codes, Features, TfIdf
from recsys_spark.models.versions import ModelVersion, find_model, kind_of
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.matrix_files import save_item_matrix
from recsys_spark.ranking.scorer import VectorScorer
from recsys_spark.recommend.trained_model import TrainedModel, load_model
from recsys_spark.runtime.job import JobRun
from recsys_spark.storage.model_files import missing_files

__all__ = [
    "KIND",
    "LinearModel",
    "TrainedClassifier",
    "find_classifier",
    "is_complete",
    "load_classifier",
    "save_classifier",
    "source_of",
]

KIND = "gender"
FILE = "classifier.json"


@dataclass(frozen=True)
class LinearModel:
    """What predicting needs, small to pickle: code_weights (classes, k), item_weights as a matrix (n_items, classes)
    or None, bias (classes,).
    """

    labels: tuple[str, ...]
    features: Features
    code_weights: NDArray[np.float64]
    item_weights: ItemMatrix | None
    bias: NDArray[np.float64]


@dataclass(frozen=True)
class TrainedClassifier:
    """A version that is ready to predict; `source` is the model whose vectors it takes, if it takes any."""

    version: ModelVersion
    model: LinearModel
    source: TrainedModel | None
    described: dict[str, Any]


def save_classifier(
    classifier: Classifier, features: Features, source: TrainedModel | None, folder: Path, max_bytes: int
) -> LinearModel:
    """Writes a trained classifier below `folder`; its JSON comes last and makes it complete."""
    k = features.n_codes
    item_weights = None
    if features.tf_idf is not None:
        rows = classifier.weights[:, k:].T.astype(np.float32)
        item_weights = save_item_matrix(rows, folder / "item_weights", len(rows), len(classifier.labels), max_bytes)
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
    """Whether a classifier lies there whole."""
    return (folder / FILE).is_file() and not missing_files(folder)


def find_classifier(run: JobRun) -> ModelVersion:
    """model.version where it names a classifier, else the newest one.

    Raises ConfigError for the version of another kind, MissingInputError where there is none.
    """
    version = run.config.model.version
    if version is not None and not version.startswith(f"{KIND}-"):
        raise ConfigError(f"model.version: {version} is no gender model; run train_gender_model to make one")
    return find_model(run.tables, KIND, version)


def load_classifier(run: JobRun, version: ModelVersion) -> TrainedClassifier:
    """Opens a version and the model behind it; MissingInputError where files are gone."""
    folder = Path(run.config.files_root) / version.artifact
    try:
        described = json.loads((folder / FILE).read_text())
        idf = ItemMatrix.open(folder / "idf") if described["tf_idf"] else None
        item_weights = ItemMatrix.open(folder / "item_weights") if described["tf_idf"] else None
    except (FileNotFoundError, MissingInputError) as error:
        raise MissingInputError(
            f"the files of {version.version} are gone or broken: run train_gender_model again ({error})"
        ) from None
    source, codes, known = None, None, idf
    if described["source_version"] is not None:
        named = described["source_version"]
        source = load_model(run.config.files_root, find_model(run.tables, kind_of(named), named))
        scorer, known = source.scorer, source.matrix
        assert isinstance(scorer, VectorScorer)
        codes = Codes(scorer, np.array(described["code_mean"]), np.array(described["code_scale"]))
    assert known is not None
    features = Features(known, codes, None if idf is None else TfIdf(idf))
    n_classes = len(described["labels"])
    weights = np.array(described["code_weights"]).reshape(n_classes, features.n_codes)
    model = LinearModel(tuple(described["labels"]), features, weights, item_weights, np.array(described["bias"]))
    return TrainedClassifier(version, model, source, described)


def source_of(run: JobRun, wanted: FeatureSet) -> TrainedModel | None:
    """The model whose vectors are to be learnt from: model.kind's newest or model.version; None for TF-IDF alone."""
    if wanted == "tf_idf":
        return None
    return load_model(run.config.files_root, find_model(run.tables, run.config.model.kind, run.config.model.version))
