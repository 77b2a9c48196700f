"""From users who state a gender to a classifier: what is trained, under which name, and its row in models."""

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
from recsys_spark.gender.classifier import fit_classifier
from recsys_spark.gender.features import feature_frame, fit_features
from recsys_spark.gender.labelled_users import assign_folds, data_versions, training_users
from recsys_spark.gender.trained_classifier import KIND, LinearModel, is_complete, save_classifier, source_of
from recsys_spark.models.versions import is_recorded, record_model
from recsys_spark.recommend.trained_model import TrainedModel
from recsys_spark.runtime.job import JobRun
from recsys_spark.runtime.session import parallelism
from recsys_spark.storage.model_files import write_file_list

__all__ = ["ClassifierPlan", "fit_on", "plan_classifier", "train_classifier"]

log = logging.getLogger(__name__)

# Settings that a trained classifier depends on.
LEARNT = ("class_weight", "min_class_users", "reg_params", "inner_folds", "max_iter")


@dataclass(frozen=True)
class ClassifierPlan:
    """One classifier to be trained: its features, the model that they come from, its name."""

    features: FeatureSet
    source: TrainedModel | None
    version: str
    params: dict[str, Any]

    @property
    def artifact(self) -> str:
        """Where its files lie below files.root."""
        return f"models/{self.version}"

    def is_done(self, run: JobRun) -> bool:
        """Whether it has its row in models, and its files."""
        done = is_recorded(run.tables, self.version) and is_complete(Path(run.config.files_root) / self.artifact)
        if done:
            log.info("%s is trained already", self.version)
        return done


def plan_classifier(run: JobRun, features: FeatureSet) -> ClassifierPlan:
    """The classifier that the configuration asks for.

    Raises MissingInputError where the model that gives vectors, or a table, does not exist.
    """
    source = source_of(run, features)
    settings = run.config.gender.model_dump(include=set(LEARNT), mode="json")
    data = data_versions(run)
    params = {
        "features": features,
        "source_version": None if source is None else source.version.version,
        "settings": settings,
        "seed": run.config.run.seed,
    }
    digest = hashlib.sha256(json.dumps([params, data, __version__], sort_keys=True).encode()).hexdigest()
    return ClassifierPlan(features, source, f"{KIND}-{digest[:12]}", params)


def train_classifier(run: JobRun, plan: ClassifierPlan, folder: Path) -> None:
    """Trains on all users who state a gender; the row in models comes last.

    Raises TrainingError where there are too few, or all state the same.
    """
    # What an earlier attempt has left, of other sums or other tables, must not be taken for ours.
    shutil.rmtree(folder, ignore_errors=True)
    with training_users(run, plan.source) as (users, labels):
        _, figures = fit_on(run, users, labels, plan.features, plan.source, folder)
    write_file_list(folder)
    run.count(**{f"users_{label}": int(figures[f"users_{label}"]) for label in labels})
    record_model(run.tables, plan.version, KIND, plan.params, figures, plan.artifact, selection_metric="auc")


def fit_on(
    run: JobRun,
    users: DataFrame,
    labels: tuple[str, ...],
    features: FeatureSet,
    source: TrainedModel | None,
    folder: Path,
) -> tuple[LinearModel, dict[str, float]]:
    """Fits features and a classifier on `users` (people with_labels) alone; files go below `folder`.

    Returns the classifier with its figures on users that were left out of its own cross-validation.
    """
    settings: GenderSettings = run.config.gender
    fitted = fit_features(run, users, features, source, folder)
    frame = feature_frame(assign_folds(users, settings.inner_folds, run.config.run.seed), fitted)
    # Few large tasks: an iteration takes milliseconds on each.
    frame = frame.coalesce(parallelism(run.spark))
    classifier = fit_classifier(frame, labels, settings)
    saved = save_classifier(classifier, fitted, source, folder, run.config.outputs.max_item_matrix_bytes)
    figures = {"log_loss": classifier.log_loss, "ece": classifier.reliability.ece, "reg_param": classifier.reg_param}
    figures |= {f"users_{label}": float(n) for label, n in zip(labels, classifier.class_users, strict=True)}
    return saved, figures
