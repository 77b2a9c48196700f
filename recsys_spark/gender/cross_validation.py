"""Judging classifiers of gender on users whose labels they have not seen.

Every fold fits all that learns from labels or counts, idf and scaling included, to the training users alone. Vectors
are those of a model that may have seen the plays of test users, though never a label. `inductive` leaves that out:
the model was trained on a split that holds users out, and those are the test users.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from functools import partial, reduce
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.gender import FeatureSet
from recsys_spark.core.errors import MissingInputError
from recsys_spark.evaluation.metric_values import MetricValue
from recsys_spark.gender.classifier_training import fit_on
from recsys_spark.gender.confidence_limits import CURVE
from recsys_spark.gender.label_metrics import LABEL_METRICS
from recsys_spark.gender.labelled_users import assign_folds, data_versions
from recsys_spark.gender.prediction import predict_probabilities
from recsys_spark.gender.prediction_metrics import user_slices
from recsys_spark.metrics.bootstrap import interval, user_weights
from recsys_spark.recommend.trained_model import TrainedModel
from recsys_spark.runtime.job import JobRun

__all__ = ["cross_validate", "held_out_users", "inductive", "judged", "majority_shares", "split_name"]

FIGURES = "slice STRING, metric STRING, value DOUBLE, ci_low DOUBLE, ci_high DOUBLE, users BIGINT"
# More users than these have intervals that are too narrow to be worth the memory of drawing them.
MOST_DRAWN = 100_000


def cross_validate(
    run: JobRun, users: DataFrame, labels: tuple[str, ...], features: FeatureSet, source: TrainedModel | None, seed: int
) -> DataFrame:
    """(user_idx INT, label DOUBLE, age INT, probabilities ARRAY<DOUBLE>, known_items INT) of all `users` (people
    with_labels), each predicted by the classifier that was trained without its fold.
    """
    folded = assign_folds(users, run.config.gender.folds, seed).persist()
    parts = []
    for fold in range(run.config.gender.folds):
        train, test = folded.where(F.col("fold") != fold), folded.where(F.col("fold") == fold)
        parts.append(_fit_and_predict(run, train, test, labels, features, source))
    folded.unpersist()
    return reduce(DataFrame.unionByName, parts)


def inductive(
    run: JobRun,
    users: DataFrame,
    labels: tuple[str, ...],
    features: FeatureSet,
    source: TrainedModel | None,
    held: DataFrame,
) -> DataFrame:
    """The same of the users `held` (user_idx) alone, predicted by one classifier that was trained on the others."""
    train = users.join(held, on="user_idx", how="left_anti")
    return _fit_and_predict(run, train, users.join(held, on="user_idx", how="left_semi"), labels, features, source)


def held_out_users(run: JobRun, split_id: str) -> DataFrame:
    """(user_idx): whom a split keeps out of training altogether; none for a split within users.

    Raises MissingInputError where the split is gone.
    """
    rows = run.tables.read("splits").where(F.col("split_id") == split_id)
    if rows.isEmpty():
        raise MissingInputError(f"there is no split {split_id} any more: run split_interactions, and train again")
    trained = rows.where("part = 'train'").select("user_idx").distinct()
    return rows.select("user_idx").distinct().join(trained, on="user_idx", how="left_anti")


def _fit_and_predict(
    run: JobRun,
    train: DataFrame,
    test: DataFrame,
    labels: tuple[str, ...],
    features: FeatureSet,
    source: TrainedModel | None,
) -> DataFrame:
    """Predictions that no longer depend on the files of the classifier, which live as long as this call."""
    root = Path(run.config.files_root)
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gender_cv-", dir=root) as folder:
        model, _ = fit_on(run, train, labels, features, source, Path(folder))
        # A user of whom the model knows nothing gets no prediction, and is not judged.
        return predict_probabilities(test, model, ("label", "age")).where("known_items > 0").localCheckpoint()


def majority_shares(predicted: DataFrame, n_labels: int) -> DataFrame:
    """The same users, each given the shares of the labels among them: what any classifier has to beat."""
    counts = {row["label"]: row["count"] for row in predicted.groupBy("label").count().collect()}
    total = sum(counts.values())
    shares = F.array(*[F.lit(counts.get(float(label), 0) / total) for label in range(n_labels)])
    return predicted.withColumn("probabilities", shares)


def judged(predicted: DataFrame, version: str, draws: int, seed: int) -> Iterator[MetricValue]:
    """The figures of predictions, over all users and by slice; of all users with intervals.

    A task holds the labels and probabilities of one slice; the driver gets a row a slice and measure.
    """
    sliced = predicted.withColumn("slice", F.explode(user_slices("known_items", "age")))
    rows = sliced.select("slice", "user_idx", "label", "probabilities").groupBy("slice")
    for row in rows.applyInArrow(partial(_measure, draws, seed), FIGURES).collect():
        yield MetricValue(
            version, row["metric"], row["slice"], row["value"], row["ci_low"], row["ci_high"], row["users"]
        )


def _measure(draws: int, seed: int, rows: pa.Table) -> pa.Table:
    name = rows["slice"][0].as_py()
    labels = rows["label"].to_numpy().astype(np.int64)
    # Order does not change a figure, but for the last bits of its sums.
    user_idx = rows["user_idx"].to_numpy()
    order = np.argsort(user_idx)
    lists = rows["probabilities"].combine_chunks().flatten().to_numpy().reshape(labels.size, -1)
    labels, chances, user_idx = labels[order], lists[order], user_idx[order]
    drawn = draws if name == "all" and labels.size <= MOST_DRAWN else 0
    weights = user_weights(user_idx, drawn, seed)
    found = []
    for metric, measure in {**LABEL_METRICS, **(CURVE if name == "all" else {})}.items():
        values = np.array([measure(labels, chances, column) for column in weights.T])
        if not np.isnan(values[0]):
            low, high = interval(values[1:]) if drawn else (None, None)
            found.append((name, metric, float(values[0]), low, high, labels.size))
    columns = list(zip(*found, strict=True)) if found else [()] * 6
    types = (pa.string(), pa.string(), pa.float64(), pa.float64(), pa.float64(), pa.int64())
    names = ("slice", "metric", "value", "ci_low", "ci_high", "users")
    return pa.table({n: pa.array(column, kind) for n, column, kind in zip(names, columns, types, strict=True)})


def split_name(run: JobRun, seed: int) -> str:
    """The id of a cross-validation: of its folds, its seed, and who plays and states what."""
    parts = [run.config.gender.folds, seed, run.config.gender.min_class_users, *data_versions(run).values()]
    return f"gender_cv-{hashlib.sha256(repr(parts).encode()).hexdigest()[:12]}"
