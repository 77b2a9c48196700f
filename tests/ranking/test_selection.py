"""Selection against numpy's plain ways."""

import numpy as np
import pytest

from recsys_spark.ranking.group_bests import GroupBests
from recsys_spark.ranking.selection import descending, places_of


def test_descending_is_a_stable_sort_of_negated_scores():
    values = np.array([0.0, -0.0, 1.5, -1.5, np.inf, -np.inf, 1e-45, -3e38, 7.25], np.float32)
    score = np.random.default_rng(1).choice(values, size=(200, 37))
    assert np.array_equal(descending(score), np.argsort(-score, axis=1, kind="stable"))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
@pytest.mark.parametrize("size", [0, 5, 8, 8000, 8003])
def test_places_are_those_of_flatnonzero(size: int, share: float):
    mask = np.random.default_rng(size).random(size) < share
    assert np.array_equal(places_of(mask), np.flatnonzero(mask))


@pytest.mark.parametrize("width", [1, 7, 32, 100, 500])
def test_the_bound_is_never_above_the_nth_best(width: int):
    scores = np.random.default_rng(2).normal(size=(20, 500)).astype(np.float32)
    scores[:, ::3] = -np.inf
    bests = GroupBests(20, 10)
    for first in range(0, 500, width):
        bests.offer(first, scores[:, first : first + width])
        seen = scores[:, : first + width]
        nth = np.sort(seen, axis=1)[:, -10] if seen.shape[1] >= 10 else np.full(20, -np.inf)
        assert (bests.bound() <= nth).all()
    # With twice as many groups as places it is close: fewer than 20 of the scores reach it.
    assert ((scores >= bests.bound()[:, None]).sum(axis=1) < 20).all()


def test_what_is_not_a_number_stays_to_be_seen():
    bests = GroupBests(1, 2)
    bests.offer(0, np.array([[1.0, np.nan, 3.0]], np.float32))
    assert np.isnan(bests.best).sum() == 1
