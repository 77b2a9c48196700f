"""Lower bounds of the n-th best score against sorting."""

import numpy as np
import pytest

from recsys_spark.ranking.group_maxima import lower_bound


@pytest.mark.parametrize("width", [1, 7, 32, 100, 500])
def test_the_bound_is_never_above_the_nth_best(width: int):
    scores = np.random.default_rng(2).normal(size=(20, width)).astype(np.float32)
    scores[:, ::3] = -np.inf
    bound = lower_bound(scores, 10)
    nth = np.sort(scores, axis=1)[:, -10] if width >= 10 else np.full(20, -np.inf)
    assert (bound <= nth).all()
    # With twice as many groups as places it is close: fewer than 20 of the scores reach it.
    assert ((scores > bound[:, None]).sum(axis=1) < 20).all()


def test_a_bound_beside_nan_is_not_above_the_nth_best():
    """A candidate that is not a number must pass, so that it is found."""
    scores = np.array([[1.0, np.nan, 3.0, 2.0], [1.0, 4.0, 3.0, 2.0]], np.float32)
    bound = lower_bound(scores, 2)
    assert not (scores[0, 1] <= bound[0]) and bound[1] <= 3


@pytest.mark.parametrize("spread", [0.0, 1e-7, 1e-3, 1e6, 1e38, 3e38])
def test_the_bound_holds_however_close_or_far_scores_lie(spread: float):
    noise = np.random.default_rng(4).uniform(-1, 1, size=(50, 32))
    scores = (3 + spread * noise).astype(np.float32)
    nth = np.sort(scores, axis=1)[:, -10]
    assert (lower_bound(scores, 10) <= nth).all()
    assert (lower_bound(scores, 10) >= nth - 1e-3 * np.ptp(scores.astype(np.float64), axis=1)).all()
