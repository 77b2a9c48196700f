"""Bootstrap weights of users, percentile intervals of means, slices of users."""

import numpy as np
import pytest

from recsys_spark.metrics.bootstrap import percentile_interval, user_weights
from recsys_spark.metrics.slices import SLICES, slice_numbers

USERS = np.arange(4000, dtype=np.int32)


def test_copies_are_poisson_with_mean_1_and_the_value_itself_counts_each_user_once() -> None:
    weights = user_weights(USERS, 50, seed=1)
    assert (weights[:, 0] == 1).all()
    copies = weights[:, 1:]
    assert copies.mean() == pytest.approx(1, abs=0.01) and copies.var() == pytest.approx(1, abs=0.02)
    assert np.mean(copies == 0) == pytest.approx(np.exp(-1), abs=0.005)


def test_copies_depend_on_user_and_seed_but_not_on_the_block() -> None:
    whole = user_weights(USERS, 8, seed=1)
    assert np.array_equal(whole[1000:1010], user_weights(USERS[1000:1010], 8, seed=1))
    assert not np.array_equal(whole[:, 1:], user_weights(USERS, 8, seed=2)[:, 1:])
    assert abs(np.corrcoef(whole[:, 1:].T)[0, 1]) < 0.05, "draws are independent"


def test_the_width_of_the_interval_is_that_of_the_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=USERS.size)
    weights = user_weights(USERS, 1000, seed=1)
    low, high = percentile_interval((weights.T @ values / weights.sum(axis=0))[1:])
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(USERS.size), rel=0.1)


def test_without_draws_there_is_no_interval() -> None:
    assert user_weights(USERS[:3], 0, seed=1).tolist() == [[1], [1], [1]]
    assert np.isnan(percentile_interval(np.zeros(0))).all()


def test_slices_of_users_by_known_items() -> None:
    known_items = np.array([0, 1, 5, 6, 10, 11, 20, 21, 50, 51, 100, 101, 5000])
    assert [SLICES[place] for place in slice_numbers(known_items)] == [
        "known_items=0",
        *["known_items=1-5"] * 2,
        *["known_items=6-10"] * 2,
        *["known_items=11-20"] * 2,
        *["known_items=21-50"] * 2,
        *["known_items=51-100"] * 2,
        *["known_items=101-"] * 2,
    ]
