"""Lower bounds of the n-th best score against sorting."""

import numpy as np
import pytest

from recsys_spark.ranking.group_maxima import GroupMaxima


@pytest.mark.parametrize("width", [1, 7, 32, 100, 500])
def test_the_bound_is_never_above_the_nth_best(width: int):
    scores = np.random.default_rng(2).normal(size=(20, 500)).astype(np.float32)
    scores[:, ::3] = -np.inf
    maxima = GroupMaxima(20, 10)
    for first in range(0, 500, width):
        maxima.update(first, scores[:, first : first + width])
        seen = scores[:, : first + width]
        nth = np.sort(seen, axis=1)[:, -10] if seen.shape[1] >= 10 else np.full(20, -np.inf)
        assert (maxima.lower_bound() <= nth).all()
    # With twice as many groups as places it is close: fewer than 20 of the scores reach it.
    assert ((scores >= maxima.lower_bound()[:, None]).sum(axis=1) < 20).all()


def test_nan_persists():
    maxima = GroupMaxima(1, 2)
    maxima.update(0, np.array([[1.0, np.nan, 3.0]], np.float32))
    assert np.isnan(maxima.maxima).sum() == 1


@pytest.mark.parametrize("spread", [0.0, 1e-7, 1e-3, 1e6, 1e38, 3e38])
def test_the_bound_holds_however_close_or_far_scores_lie(spread: float):
    noise = np.random.default_rng(4).uniform(-1, 1, size=(50, 64))
    scores = (3 + spread * noise).astype(np.float32)
    maxima = GroupMaxima(50, 10)
    maxima.update(0, scores)
    nth = np.sort(maxima.maxima, axis=1)[:, -10]
    assert (maxima.lower_bound() <= nth).all()
    assert (maxima.lower_bound() >= nth - 1e-3 * np.ptp(scores.astype(np.float64), axis=1)).all()
