"""Regularisation is chosen by what the calibrated classifier loses, as scikit-learn counts it."""

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


def people(n: int = 240, width: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """More features than such few users can tell apart: (n, width) rows, labels and folds."""
    generator = np.random.default_rng(1)
    x = generator.normal(size=(n, width))
    y = (x @ generator.normal(size=width) + generator.normal(size=n) * 12 > 0).astype(float)
    return x, y, np.arange(n) % 3


def losses(x: np.ndarray, y: np.ndarray, fold: np.ndarray, reg: float) -> tuple[float, float]:
    """Log loss of the users left out: of the probabilities as they are, and after calibration."""
    margins = np.zeros(len(y))
    for left_out in range(3):
        inside = fold != left_out
        model = LogisticRegression(C=1 / (reg * inside.sum()), tol=1e-8).fit(x[inside], y[inside])
        margins[~inside] = model.decision_function(x[~inside])
    calibrated = LogisticRegression(C=1e6).fit(margins[:, None], y).predict_proba(margins[:, None])[:, 1]
    return float(log_loss(y, 1 / (1 + np.exp(-margins)))), float(log_loss(y, calibrated))


def test_what_calibration_mends_does_not_decide(spark: SparkSession) -> None:
    x, y, fold = people()
    as_they_are, calibrated = zip(*(losses(x, y, fold, reg) for reg in REGS), strict=True)
    assert np.argmin(as_they_are) > np.argmin(calibrated), "margins would choose too little"
    rows = [(float(label), int(place), row.tolist()) for row, label, place in zip(x, y, fold, strict=True)]
    frame = spark.createDataFrame(rows, "label DOUBLE, fold INT, x ARRAY<DOUBLE>")
    settings = GenderSettings.model_validate({"reg_params": REGS, "inner_folds": 3, "max_iter": 200})
    found = fit_classifier(frame.withColumn("features", array_to_vector(F.col("x"))), ("f", "m"), settings)
    assert found.reg_param == REGS[int(np.argmin(calibrated))]
    assert found.log_loss == pytest.approx(min(calibrated), rel=1e-3)
