"""Fit of the classifier on arrays by the driver, for data within gender.max_driver_bytes."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from scipy.sparse import csr_matrix

from recsys_spark.config.gender import GenderSettings
from recsys_spark.gender.classifier import CALIBRATION_REG, Classifier, check_class_users, class_weights, composed
from recsys_spark.gender.logistic import LinearMap, Matrix, fit_logistic
from recsys_spark.gender.reliability import reliability_of_arrays

__all__ = ["TrainingRows", "fit_on_arrays", "read_training_rows"]

# As MLlib's defaults, which calibration uses there.
CALIBRATION_ITERATIONS = 100
# Probabilities are kept this far from zero in the log loss, as in MLlib.
SMALLEST_PROBABILITY = 1e-15


class TrainingRows(NamedTuple):
    """Labelled users by number: features (n, width), labels and inner folds (n,)."""

    features: Matrix
    labels: NDArray[np.intp]
    folds: NDArray[np.int32]


class _Calibrated(NamedTuple):
    """Calibration of one regularisation, with the probabilities of the left-out users and their log loss."""

    reg_param: float
    calibration: LinearMap
    probabilities: NDArray[np.float64]
    log_loss: float


def read_training_rows(frame: DataFrame, width: int) -> TrainingRows:
    """Return all rows of a feature_frame of structures (see feature_frame).

    The caller bounds their size, as all of them come to the driver.
    """
    table = frame.toArrow().sort_by("user_idx").combine_chunks()
    features = table["features"].combine_chunks()
    if isinstance(features, pa.ChunkedArray):
        features = features.chunk(0)
    values = features.field("values")
    numbers = values.flatten().to_numpy()
    if features.field("indices").null_count == len(features):
        matrix: Matrix = numbers.reshape(len(table), width)
    else:
        indptr = np.concatenate(([0], np.cumsum(values.value_lengths().to_numpy())))
        indices = features.field("indices").flatten().to_numpy()
        matrix = csr_matrix((numbers, indices, indptr), shape=(len(table), width))
    return TrainingRows(matrix, table["label"].to_numpy().astype(np.intp), table["fold"].to_numpy())


def fit_on_arrays(rows: TrainingRows, labels: tuple[str, ...], settings: GenderSettings) -> Classifier:
    """Return what fit_with_mllib finds on the same rows, up to the tolerance of iterations."""
    users = np.bincount(rows.labels, minlength=len(labels))
    class_users = tuple(int(number) for number in users)
    check_class_users(class_users, labels, settings)
    weights = np.array(class_weights(class_users, settings))[rows.labels]
    tried = [_calibrated(rows, weights, len(labels), reg_param, settings.max_iter) for reg_param in settings.reg_params]
    best = min(tried, key=lambda calibrated: calibrated.log_loss)
    final = fit_logistic(rows.features, rows.labels, weights, len(labels), best.reg_param, settings.max_iter)
    logits = composed(_margins(final), best.calibration)
    measured = reliability_of_arrays(rows.labels, best.probabilities)
    return Classifier(labels, logits.matrix, logits.bias, best.reg_param, best.log_loss, measured, class_users)


def _calibrated(
    rows: TrainingRows, weights: NDArray[np.float64], n_classes: int, reg_param: float, max_iter: int
) -> _Calibrated:
    """Calibrate the margins of the users that each fold leaves out."""
    margins = np.zeros((len(rows.labels), n_classes))
    for fold in np.unique(rows.folds):
        out = rows.folds == fold
        fitted = fit_logistic(rows.features[~out], rows.labels[~out], weights[~out], n_classes, reg_param, max_iter)
        margins[out] = _margins(fitted)(rows.features[out])
    calibration = _fit_calibration(margins, rows.labels, n_classes)
    logits = calibration(margins)
    logs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    probabilities = np.exp(logs)
    right = probabilities[np.arange(len(rows.labels)), rows.labels]
    loss = -np.log(np.clip(right, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)).mean()
    return _Calibrated(reg_param, calibration, probabilities, float(loss))


def _fit_calibration(margins: NDArray[np.float64], labels: NDArray[np.intp], n_classes: int) -> LinearMap:
    """Fit labels on standardised margins, all users alike."""
    deviation = margins.std(axis=0, ddof=1)
    scale = np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0)
    ones = np.ones(len(labels))
    fitted = fit_logistic(margins * scale, labels, ones, n_classes, CALIBRATION_REG, CALIBRATION_ITERATIONS)
    return LinearMap(fitted.matrix * scale, fitted.bias)


def _margins(fitted: LinearMap) -> LinearMap:
    """Return the margins of the classes; with two classes one margin with both signs, as in MLlib."""
    if len(fitted.bias) > 2:
        return fitted
    return LinearMap(fitted.matrix[1:], fitted.bias[1:]).with_both_signs()
