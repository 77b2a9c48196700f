"""Training of a gender classifier on labelled users, recorded in models."""

import hashlib
import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame

from recsys_spark import __version__
from recsys_spark.config.gender import FeatureSet, GenderSettings
from recsys_spark.config.model import BaseConfig
from recsys_spark.gender.classifier_fit import fit_classifier
from recsys_spark.gender.features import fit_features
from recsys_spark.gender.labelled_users import assign_folds, data_keys, training_users
from recsys_spark.gender.linear_model import LinearModel
from recsys_spark.gender.trained_classifier import KIND, find_source, is_complete, save_classifier
from recsys_spark.models.versions import is_recorded, record_model
from recsys_spark.recommend.trained_model import TrainedModel
from recsys_spark.storage.model_files import write_file_list
from recsys_spark.storage.tables import Tables

__all__ = ["ClassifierPlan", "fit_on", "plan_classifier", "train_classifier"]

log = logging.getLogger(__name__)

# Settings that a trained classifier depends on.
TRAINING_SETTINGS = ("class_weight", "min_class_users", "reg_params", "inner_folds", "max_iter")


@dataclass(frozen=True)
class ClassifierPlan:
    """One classifier to train: its features, the model that gives vectors, its version."""

    features: FeatureSet
    source: TrainedModel | None
    version: str
    params: dict[str, Any]

    @property
    def artifact(self) -> str:
        """Return the folder of its files, relative to files.root."""
        return f"models/{self.version}"

    def is_done(self, tables: Tables, files_root: str) -> bool:
        """Return True if it has its row in models and its files."""
        done = is_recorded(tables, self.version) and is_complete(Path(files_root) / self.artifact)
        if done:
            log.info("%s is already trained", self.version)
        return done


def plan_classifier(tables: Tables, config: BaseConfig, features: FeatureSet) -> ClassifierPlan:
    """Return the plan of the classifier that the configuration describes.

    Raises MissingInputError where the model that gives vectors, or a table, does not exist.
    """
    source = find_source(tables, config, features)
    settings = config.gender.model_dump(include=set(TRAINING_SETTINGS), mode="json")
    data = data_keys(tables)
    params = {
        "features": features,
        "source_version": None if source is None else source.version.version,
        "settings": settings,
        "seed": config.run.seed,
    }
    digest = hashlib.sha256(json.dumps([params, data, __version__], sort_keys=True).encode()).hexdigest()
    return ClassifierPlan(features, source, f"{KIND}-{digest[:12]}", params)


def train_classifier(tables: Tables, config: BaseConfig, plan: ClassifierPlan, folder: Path) -> dict[str, int]:
    """Train on all labelled users and return the number of users of each label.

    The row in models is written last. Raises TrainingError for too few users or a single gender.
    """
    # Files of an earlier, interrupted attempt may belong to other data.
    shutil.rmtree(folder, ignore_errors=True)
    with training_users(tables, config, plan.source) as (users, labels):
        _, metrics = fit_on(tables, config, users, labels, plan.features, plan.source, folder)
    write_file_list(folder)
    record_model(tables, plan.version, KIND, plan.params, metrics, plan.artifact, selection_metric="auc")
    return {f"users_{label}": int(metrics[f"users_{label}"]) for label in labels}


def fit_on(
    tables: Tables,
    config: BaseConfig,
    users: DataFrame,
    labels: tuple[str, ...],
    features: FeatureSet,
    source: TrainedModel | None,
    folder: Path,
) -> tuple[LinearModel, dict[str, float]]:
    """Fit features and a classifier on the labelled `users` alone and write files below `folder`.

    Returns the classifier with its metrics on the users left out in its own cross-validation.
    """
    settings: GenderSettings = config.gender
    fitted = fit_features(tables, config, users, features, source, folder)
    classifier = fit_classifier(assign_folds(users, settings.inner_folds, config.run.seed), labels, fitted, settings)
    saved = save_classifier(classifier, fitted, source, folder, config.outputs.max_item_matrix_bytes)
    metrics = {"log_loss": classifier.log_loss, "ece": classifier.reliability.ece, "reg_param": classifier.reg_param}
    metrics |= {f"users_{label}": float(n) for label, n in zip(labels, classifier.class_users, strict=True)}
    return saved, metrics
