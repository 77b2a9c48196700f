"""Sort keys of candidates against numpy's stable sort."""

import numpy as np

from recsys_spark.ranking.candidate_keys import EMPTY_KEY, pack_keys, unpack_items, unpack_scores

VALUES = np.array([0.0, -0.0, 1.5, -1.5, np.inf, -np.inf, 1e-45, -3e38, 7.25], np.float32)


def test_keys_sort_by_descending_score_then_by_item():
    score = np.random.default_rng(1).choice(VALUES, size=(200, 37))
    items = np.broadcast_to(np.arange(37), score.shape)
    ranked = np.sort(pack_keys(score, items), axis=1)
    order = np.argsort(-score, axis=1, kind="stable")
    assert np.array_equal(unpack_items(ranked), order)
    assert np.array_equal(unpack_scores(ranked), np.take_along_axis(score, order, axis=1))


def test_an_empty_place_sorts_after_every_finite_score():
    assert (pack_keys(VALUES, np.arange(VALUES.size))[~np.isneginf(VALUES)] < EMPTY_KEY).all()
    assert unpack_scores(np.array([EMPTY_KEY])) == -np.inf


def test_the_largest_item_keeps_its_number():
    largest = np.array([2**31 - 1])
    assert unpack_items(pack_keys(np.ones(1, np.float32), largest)) == largest
