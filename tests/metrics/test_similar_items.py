"""Metrics of lists of similar items, by hand and by brute force."""

import math

import numpy as np
import pytest

from recsys_spark.metrics.similar_items import QUERY_SLICES, list_spread, query_slices, query_values


def test_values_of_queries_by_hand() -> None:
    """Query 0 finds item 5 at position 2 and not 8; query 1, with a short list, finds nothing."""
    neighbours = np.array([[3, 5, 9], [4, -1, -1]], dtype=np.int32)
    row, target = np.array([0, 0, 1]), np.array([5, 8, 7], dtype=np.int32)
    found = query_values(neighbours, row, target, np.array([4, 1, 0]), k=3)
    assert found.hit_rate.tolist() == [1, 0] and found.recall.tolist() == [0.5, 0]
    ideal = 1 + 1 / math.log2(3)
    assert found.ndcg.tolist() == [pytest.approx(1 / math.log2(3) / ideal), 0]
    assert found.rare_hits.tolist() == [0.25, 0]
    assert found.rare_targets.tolist() == [1.25, 1], "an item without users counts as having one"
    first = query_values(neighbours, row, target, np.array([4, 1, 0]), k=1)
    assert first.hit_rate.tolist() == [0, 0] and first.rare_hits.tolist() == [0, 0]


def test_values_of_queries_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    neighbours = np.array([rng.permutation(30)[:6] for _ in range(20)], dtype=np.int32)
    targets = [rng.permutation(30)[: 1 + rng.integers(8)] for _ in range(20)]
    row = np.repeat(np.arange(20), [t.size for t in targets])
    users = rng.integers(1, 50, 30)
    flat = np.concatenate(targets).astype(np.int32)
    found = query_values(neighbours, row, flat, users[flat], k=4)
    for q, wanted in enumerate(targets):
        hits = [place for place, item in enumerate(neighbours[q, :4]) if item in wanted]
        assert found.recall[q] == pytest.approx(len(hits) / wanted.size)
        assert found.hit_rate[q] == bool(hits)
        gain = sum(1 / math.log2(place + 2) for place in hits)
        assert found.ndcg[q] == pytest.approx(gain / sum(1 / math.log2(p + 2) for p in range(min(4, wanted.size))))
        assert found.rare_hits[q] == pytest.approx(sum(1 / users[neighbours[q, place]] for place in hits))
        assert found.rare_targets[q] == pytest.approx(sum(1 / users[item] for item in wanted))


def test_slices_of_queries() -> None:
    found = [QUERY_SLICES[place] for place in query_slices(np.array([0, 9, 10, 999, 10_000]))]
    assert found == [f"query_users={name}" for name in ("0-9", "0-9", "10-99", "100-999", "10000-")]


def test_spread_of_lists_by_hand() -> None:
    """One item is in three of four lists, one in one, and two in none: deviations are 2, 0, -1 and -1."""
    spread = list_spread(np.array([0, 1, 3]), np.array([2, 1, 1]), 4)
    assert spread.largest_share == 0.75 and spread.unlisted == 0.5
    assert spread.skewness == pytest.approx((8 - 1 - 1) / 4 / math.sqrt(6 / 4) ** 3)
    assert list_spread(np.array([2]), np.array([2]), 2).skewness == 0
    assert math.isnan(list_spread(np.empty(0, np.int64), np.empty(0, np.int64), 0).unlisted)
