"""Errors of ratings and ranks of probabilities, against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, roc_auc_score

from recsys_spark.evaluation.errors import auc, mae, rmse


def test_errors_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    predicted, actual = generator.uniform(1, 5, 99), generator.integers(1, 6, 99).astype(float)
    assert rmse(predicted, actual) == pytest.approx(mean_squared_error(actual, predicted) ** 0.5)
    assert mae(predicted, actual) == pytest.approx(mean_absolute_error(actual, predicted))
    assert np.isnan(rmse(np.zeros(0), np.zeros(0))) and np.isnan(mae(np.zeros(0), np.zeros(0)))


@pytest.mark.parametrize("levels", [3, 1000])
def test_auc_is_that_of_scikit_learn_with_ties_and_without(levels: int) -> None:
    generator = np.random.default_rng(levels)
    positive = generator.random(200) < 0.3
    scores = generator.integers(0, levels, 200) + positive
    assert auc(scores.astype(float), positive) == pytest.approx(roc_auc_score(positive, scores))


def test_auc_needs_both_classes() -> None:
    assert np.isnan(auc(np.arange(3.0), np.ones(3, bool)))
    assert auc(np.zeros(4), np.array([True, False, True, False])) == 0.5
