"""Choice of regularisation by the log loss after calibration, against scikit-learn."""

import numpy as np
import pytest
from pyspark.ml.functions import array_to_vector
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from recsys_spark.config.gender import GenderSettings
from recsys_spark.gender.classifier import fit_classifier

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


def test_regularisation_is_chosen_by_the_log_loss_after_calibration(spark: SparkSession) -> None:
    x, y, fold = overfitted_users()
    uncalibrated, calibrated = zip(*(losses(x, y, fold, reg) for reg in REGS), strict=True)
    assert np.argmin(uncalibrated) > np.argmin(calibrated), "the log loss before calibration would choose too little"
    rows = [(float(label), int(place), row.tolist()) for row, label, place in zip(x, y, fold, strict=True)]
    frame = spark.createDataFrame(rows, "label DOUBLE, fold INT, x ARRAY<DOUBLE>")
    settings = GenderSettings.model_validate({"reg_params": REGS, "inner_folds": 3, "max_iter": 200})
    found = fit_classifier(frame.withColumn("features", array_to_vector(F.col("x"))), ("f", "m"), settings)
    assert found.reg_param == REGS[int(np.argmin(calibrated))]
    assert found.log_loss == pytest.approx(min(calibrated), rel=1e-3)
