"""Metrics of predicted labels against scikit-learn and cases worked by hand."""

import numpy as np
import pytest
from sklearn import metrics as sk

from recsys_spark.gender.label_metrics import (
    LABEL_METRICS,
    accuracy,
    auc,
    balanced_accuracy,
    calibration_error,
    log_loss,
)


def some(n_labels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    chances = np.round(generator.dirichlet(np.ones(n_labels), size=500), 2) + 1e-6
    chances /= chances.sum(axis=1, keepdims=True)
    labels = np.array([generator.choice(n_labels, p=row) for row in chances])
    return labels, chances, generator.integers(0, 4, 500).astype(float)


def test_two_labels_as_scikit_learn_measures_them():
    labels, chances, weights = some(2)
    assert auc(labels, chances, weights) == pytest.approx(
        sk.roc_auc_score(labels, chances[:, 1], sample_weight=weights)
    )
    predicted = chances.argmax(axis=1)
    assert accuracy(labels, chances, weights) == pytest.approx(
        sk.accuracy_score(labels, predicted, sample_weight=weights)
    )
    expected = sk.balanced_accuracy_score(labels, predicted, sample_weight=weights)
    assert balanced_accuracy(labels, chances, weights) == pytest.approx(expected)
    assert log_loss(labels, chances, weights) == pytest.approx(sk.log_loss(labels, chances, sample_weight=weights))


def test_several_labels_as_scikit_learn_measures_them():
    labels, chances, _ = some(4)
    equal = np.ones(labels.size)
    assert auc(labels, chances, equal) == pytest.approx(sk.roc_auc_score(labels, chances, multi_class="ovr"))
    predicted = chances.argmax(axis=1)
    assert balanced_accuracy(labels, chances, equal) == pytest.approx(sk.balanced_accuracy_score(labels, predicted))


def test_tied_scores_count_half():
    chances = np.full((4, 2), 0.5)
    assert auc(np.array([0, 1, 0, 1]), chances, np.ones(4)) == 0.5


def test_metrics_are_nan_without_users():
    labels, chances, no_weights = np.array([0, 1]), np.full((2, 2), 0.5), np.zeros(2)
    assert all(np.isnan(measure(labels, chances, no_weights)) for measure in LABEL_METRICS.values())


def test_one_label_alone_has_no_curve():
    assert np.isnan(auc(np.ones(3, int), np.full((3, 2), 0.5), np.ones(3)))


def test_calibration_error_by_hand():
    """Three users at 0.9, two of them right, and one at 0.6, right: (3 x |0.9 - 2/3| + 0.4) / 4."""
    chances = np.array([[0.1, 0.9], [0.9, 0.1], [0.1, 0.9], [0.4, 0.6]])
    labels = np.array([1, 0, 0, 1])
    assert calibration_error(labels, chances, np.ones(4)) == pytest.approx((3 * (0.9 - 2 / 3) + 0.4) / 4)
