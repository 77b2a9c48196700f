"""Fits of the classifier: the choice of regularisation, against scikit-learn and MLlib."""

import numpy as np
import pytest
from pyspark.ml.functions import array_to_vector
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from recsys_spark.config.gender import GenderSettings
from recsys_spark.core.errors import TrainingError
from recsys_spark.gender.array_fit import TrainingRows, fit_on_arrays
from recsys_spark.gender.logistic import fit_logistic
from recsys_spark.gender.mllib_fit import fit_with_mllib

REGS = (1.0, 0.3, 0.1)


def overfitted_users(n: int = 240, width: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows (n, width), labels and folds, with too many features for the users."""
    generator = np.random.default_rng(1)
    x = generator.normal(size=(n, width))
    y = (x @ generator.normal(size=width) + generator.normal(size=n) * 12 > 0).astype(float)
    return x, y, np.arange(n) % 3


def losses(x: np.ndarray, y: np.ndarray, fold: np.ndarray, reg: float) -> tuple[float, float]:
    """Return the log loss of the left-out users before and after calibration."""
    margins = np.zeros(len(y))
    for left_out in range(3):
        inside = fold != left_out
        model = LogisticRegression(C=1 / (reg * inside.sum()), tol=1e-8).fit(x[inside], y[inside])
        margins[~inside] = model.decision_function(x[~inside])
    calibrated = LogisticRegression(C=1e6).fit(margins[:, None], y).predict_proba(margins[:, None])[:, 1]
    return float(log_loss(y, 1 / (1 + np.exp(-margins)))), float(log_loss(y, calibrated))


def test_regularisation_is_chosen_by_the_log_loss_after_calibration() -> None:
    x, y, fold = overfitted_users()
    uncalibrated, calibrated = zip(*(losses(x, y, fold, reg) for reg in REGS), strict=True)
    assert np.argmin(uncalibrated) > np.argmin(calibrated), "the log loss before calibration would choose too little"
    settings = GenderSettings.model_validate({"reg_params": REGS, "inner_folds": 3, "max_iter": 200})
    found = fit_on_arrays(TrainingRows(x, y.astype(int), fold.astype(np.int32)), ("f", "m"), settings)
    assert found.reg_param == REGS[int(np.argmin(calibrated))]
    assert found.log_loss == pytest.approx(min(calibrated), rel=1e-4)


@pytest.mark.parametrize(("n_labels", "class_weight"), [(2, "none"), (2, "balanced"), (3, "none"), (3, "balanced")])
def test_both_fits_find_the_same_classifier(spark: SparkSession, n_labels: int, class_weight: str) -> None:
    generator = np.random.default_rng(2)
    x = generator.normal(size=(300, 8))
    scores = x @ generator.normal(size=(8, n_labels)) + generator.gumbel(size=(300, n_labels)) * 2
    y, fold = (scores + np.linspace(0, 2, n_labels)).argmax(axis=1), np.arange(300) % 3
    labels = ("a", "b", "c")[:n_labels]
    values = {"reg_params": (0.1, 0.01), "inner_folds": 3, "max_iter": 500, "class_weight": class_weight}
    settings = GenderSettings.model_validate(values)
    ours = fit_on_arrays(TrainingRows(x, y, fold.astype(np.int32)), labels, settings)
    rows = [(float(label), int(place), row.tolist()) for row, label, place in zip(x, y, fold, strict=True)]
    frame = spark.createDataFrame(rows, "label DOUBLE, fold INT, x ARRAY<DOUBLE>")
    theirs = fit_with_mllib(frame.withColumn("features", array_to_vector(F.col("x"))), labels, settings)
    assert (ours.reg_param, ours.class_users) == (theirs.reg_param, theirs.class_users)
    assert ours.log_loss == pytest.approx(theirs.log_loss, abs=2e-4)
    assert np.allclose(ours.weights, theirs.weights, atol=0.02) and np.allclose(ours.bias, theirs.bias, atol=0.02)
    assert ours.reliability.ece == pytest.approx(theirs.reliability.ece, abs=0.02)


@pytest.mark.parametrize("n_labels", [2, 3])
def test_the_regression_is_that_of_scikit_learn(n_labels: int) -> None:
    generator = np.random.default_rng(3)
    x = generator.normal(size=(200, 5)) * (generator.random((200, 5)) < 0.5)
    y = (x @ generator.normal(size=(5, n_labels)) + generator.gumbel(size=(200, n_labels))).argmax(axis=1)
    weights = generator.random(200) + 0.5
    reference = LogisticRegression(C=1 / (0.05 * weights.sum()), tol=1e-10, max_iter=1000)
    expected = reference.fit(x, y, weights).predict_proba(x)
    for features in (x, csr_matrix(x)):
        logits = fit_logistic(features, y, weights, n_labels, 0.05, 1000)(features)
        found = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
        assert np.allclose(found, expected, atol=1e-3)


def test_too_few_users_of_a_label_are_refused() -> None:
    rows = TrainingRows(np.ones((4, 1)), np.array([0, 1, 1, 1]), np.arange(4, dtype=np.int32) % 3)
    with pytest.raises(TrainingError, match="1 users of gender f are left for training"):
        fit_on_arrays(rows, ("f", "m"), GenderSettings.model_validate({}))
