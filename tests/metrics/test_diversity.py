"""Diversity metrics against cases worked by hand."""

import numpy as np
import pytest

from recsys_spark.metrics.diversity import coverage, gini, mean_popularity, novelty, popularity_lift

POPULARITY = np.array([8.0, 4.0, 2.0, 0.0])
LISTS = np.array([[0, 1], [2, 3], [1, 0], [0, 0]])
LENGTH = np.array([2, 2, 1, 0])


def test_novelty_is_the_mean_information_of_listed_items() -> None:
    # Of 16 users 8, 4, 2 played items 0, 1, 2: 1, 2 and 3 bits; an item without plays counts as played once: 4 bits.
    assert novelty(LISTS, LENGTH, POPULARITY, 16).tolist() == pytest.approx([1.5, 3.5, 2.0, np.nan], nan_ok=True)


def test_popularity_lift_is_the_relative_difference_of_group_means() -> None:
    """Two users: lists of mean popularity 6 and 1, histories of 3 and 2.

    GAP_r = 3.5, GAP_p = 2.5: the lift is 0.4. The mean of the users' ratios, 2 and 0.5, would give 0.25.
    """
    listed = mean_popularity(LISTS, LENGTH, POPULARITY)
    assert listed.tolist() == pytest.approx([6, 1, 4, np.nan], nan_ok=True)
    group, of_history = listed[:2], np.array([3.0, 2.0])
    for aggregate in (np.sum, np.mean):
        assert popularity_lift(aggregate(group), aggregate(of_history)) == pytest.approx(0.4)
    assert np.isnan(popularity_lift(np.array([1.0]), np.array([0.0]))).all()


def test_coverage_counts_items_in_any_list() -> None:
    assert coverage(np.array([3, 1, 0]), 4) == 0.5
    assert np.isnan(coverage(np.array([], dtype=int), 0))


@pytest.mark.parametrize(
    ("counts", "n_items", "expected"),
    [([5, 5, 5, 5], 4, 0), ([7], 4, 0.75), ([0, 0, 0, 7], 4, 0.75), ([1, 3], 2, 0.25)],
)
def test_gini_is_0_for_even_lists_and_grows_with_inequality(counts: list[int], n_items: int, expected: float) -> None:
    assert gini(np.array(counts), n_items) == pytest.approx(expected)


def test_gini_is_half_the_relative_mean_difference() -> None:
    counts = np.random.default_rng(0).poisson(2, 50)
    pairs = np.abs(counts[:, None] - counts[None, :]).mean()
    assert gini(counts[counts > 0], 50) == pytest.approx(pairs / (2 * counts.mean()))
    assert np.isnan(gini(np.array([], dtype=int), 5))
