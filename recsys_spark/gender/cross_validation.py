"""Predictions for users whose labels a gender classifier has not seen.

Each fold fits everything that learns from labels or counts, idf and scaling included, to the training users alone.
Vectors are those of a model that may have seen the plays of test users, but no labels. `predict_held_out` uses a model
trained on a split that holds users out, and predicts these users.
"""

import hashlib
import tempfile
from functools import reduce
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.gender import FeatureSet, GenderSettings
from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import MissingInputError
from recsys_spark.gender.classifier_training import fit_on
from recsys_spark.gender.labelled_users import assign_folds, data_keys
from recsys_spark.gender.prediction import predict_probabilities
from recsys_spark.recommend.trained_model import TrainedModel
from recsys_spark.storage.tables import Tables

__all__ = ["cross_validate", "held_out_users", "majority_shares", "predict_held_out", "split_name"]


def cross_validate(
    tables: Tables,
    config: BaseConfig,
    users: DataFrame,
    labels: tuple[str, ...],
    features: FeatureSet,
    source: TrainedModel | None,
    seed: int,
) -> DataFrame:
    """Predict each of the labelled users by the classifier trained without its fold.

    Returns (user_idx INT, label DOUBLE, age INT, probabilities ARRAY<DOUBLE>, known_items INT).
    """
    folded = assign_folds(users, config.gender.folds, seed).persist()
    parts = []
    for fold in range(config.gender.folds):
        train, test = folded.where(F.col("fold") != fold), folded.where(F.col("fold") == fold)
        parts.append(_fit_and_predict(tables, config, train, test, labels, features, source))
    folded.unpersist()
    return reduce(DataFrame.unionByName, parts)


def predict_held_out(
    tables: Tables,
    config: BaseConfig,
    users: DataFrame,
    labels: tuple[str, ...],
    features: FeatureSet,
    source: TrainedModel | None,
    held_out: DataFrame,
) -> DataFrame:
    """Predict the users `held_out` (user_idx) by one classifier trained on the others."""
    train = users.join(held_out, on="user_idx", how="left_anti")
    return _fit_and_predict(
        tables, config, train, users.join(held_out, on="user_idx", how="left_semi"), labels, features, source
    )


def held_out_users(tables: Tables, split_id: str) -> DataFrame:
    """Return (user_idx) of the users that a split keeps out of training; none for a split within users.

    Raises MissingInputError where the split is gone.
    """
    rows = tables.read("splits").where(F.col("split_id") == split_id)
    if rows.isEmpty():
        raise MissingInputError(f"the rows of split {split_id} are gone: run split_interactions, and train again")
    trained = rows.where("part = 'train'").select("user_idx").distinct()
    return rows.select("user_idx").distinct().join(trained, on="user_idx", how="left_anti")


def _fit_and_predict(
    tables: Tables,
    config: BaseConfig,
    train: DataFrame,
    test: DataFrame,
    labels: tuple[str, ...],
    features: FeatureSet,
    source: TrainedModel | None,
) -> DataFrame:
    """Train a temporary classifier and return its predictions, which do not depend on its files."""
    root = Path(config.files_root)
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gender_cv-", dir=root) as folder:
        model, _ = fit_on(tables, config, train, labels, features, source, Path(folder))
        # A user without known items gets no prediction, and is left out of the metrics.
        return predict_probabilities(test, model, ("label", "age")).where("known_items > 0").localCheckpoint()


def majority_shares(predicted: DataFrame, n_labels: int) -> DataFrame:
    """Return the same users with the shares of the labels as probabilities.

    This is the baseline without user data, which any classifier has to beat.
    """
    counts = {row["label"]: row["count"] for row in predicted.groupBy("label").count().collect()}
    total = sum(counts.values())
    shares = F.array(*[F.lit(counts.get(float(label), 0) / total) for label in range(n_labels)])
    return predicted.withColumn("probabilities", shares)


def split_name(tables: Tables, settings: GenderSettings, seed: int) -> str:
    """Return the id of a cross-validation: a hash of its settings, seed and data versions."""
    parts = [settings.folds, seed, settings.min_class_users, *data_keys(tables).values()]
    return f"gender_cv-{hashlib.sha256(repr(parts).encode()).hexdigest()[:12]}"
