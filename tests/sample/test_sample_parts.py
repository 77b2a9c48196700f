"""The building blocks: settings and plans, exact counts, distinct pairs, distinct names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from recsys_spark.config.sample import SampleSettings
from recsys_spark.core.errors import ConfigError
from recsys_spark.sample.catalogue import build_catalogue
from recsys_spark.sample.dirt import plan_dirt
from recsys_spark.sample.histories import draw_events, draw_pairs
from recsys_spark.sample.randomness import long_tailed_counts, ordinals
from recsys_spark.sample.tastes import draw_tastes
from recsys_spark.sample.words import ANIME_TITLES, ARTISTS, SONG_TITLES, draw_names


def test_unset_sizes_are_those_of_the_data_sets() -> None:
    sample, lastfm, anime = (
        SampleSettings.model_validate({"format": name}).plan(1) for name in ("sample", "lastfm_360k", "anime")
    )
    assert (sample.users, sample.items, sample.rows) == (2_000, 1_500, 60_000)
    assert (lastfm.users, lastfm.items, lastfm.rows) == (359_347, 160_112, 17_559_530)
    assert (anime.users, anime.items, anime.rows) == (69_600, 9_927, 7_813_737)


def test_rows_follow_the_users_when_unset() -> None:
    assert SampleSettings(users=200).plan(1).rows == 6_000
    assert SampleSettings(format="lastfm_360k", users=100).plan(1).rows == 4_887
    assert SampleSettings(format="anime", users=100, items=100).plan(1).rows == 2_500


@pytest.mark.parametrize(
    "sizes",
    [
        {"users": 100, "rows": 99},
        {"users": 10, "rows": 1_501},
        {"format": "anime", "items": 50, "rows": 10**7},
    ],
)
def test_impossible_numbers_of_rows_are_refused_with_a_range(sizes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="choose rows from"):
        SampleSettings.model_validate(sizes)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match="choose 0 or more"):
        SampleSettings().plan(-1)


@given(
    users=st.integers(1, 5_000),
    per_file=st.integers(1, 700),
    total=st.integers(0, 10**9),
)
def test_the_shares_of_blocks_sum_to_the_total(users: int, per_file: int, total: int) -> None:
    plan = SampleSettings(users=users, users_per_file=per_file).plan(0)
    blocks = range(plan.files)
    assert sum(plan.share_of(total, block) for block in blocks) == total
    assert [user for block in blocks for user in plan.users_of(block)] == list(range(users))


@given(rows=st.integers(2_000, 20_000), dirt_share=st.floats(0, 0.5))
def test_dirt_is_half_broken_and_sums_to_its_share(rows: int, dirt_share: float) -> None:
    plan = SampleSettings(users=500, rows=rows, dirt_share=dirt_share, users_per_file=70).plan(0)
    dirt = [plan_dirt(plan, block) for block in range(plan.files)]
    broken = sum(d.broken for d in dirt)
    total = broken + sum(d.copied + d.redelivered + d.late for d in dirt)
    assert total == round(rows * dirt_share)
    assert broken == total // 2


@given(
    size=st.integers(1, 60),
    cap=st.integers(1, 40),
    fill=st.floats(0, 1),
    spread=st.floats(0, 2),
    seed=st.integers(0, 99),
)
def test_counts_sum_exactly_within_bounds(size: int, cap: int, fill: float, spread: float, seed: int) -> None:
    total = size + round(fill * size * (cap - 1))
    counts = long_tailed_counts(np.random.default_rng(seed), size, total, spread, cap)
    assert counts.sum() == total
    assert ((counts >= 1) & (counts <= cap)).all()


@given(st.lists(st.integers(0, 5), max_size=30).map(sorted))
def test_ordinals_count_within_runs(keys: list[int]) -> None:
    expected = [keys[:place].count(key) for place, key in enumerate(keys)]
    assert ordinals(np.array(keys, np.int64)).tolist() == expected


def test_pairs_stay_distinct_when_a_user_takes_nearly_all_items() -> None:
    plan = SampleSettings(users=4, items=50, rows=40).plan(0)
    tastes, catalogue = draw_tastes(plan, 0), build_catalogue(plan)
    counts = np.array([30, 1, 0, 49])
    pairs = draw_pairs(np.random.default_rng(1), tastes, catalogue, counts)
    late_counts = np.array([20, 2, 5, 1])
    late = draw_pairs(np.random.default_rng(2), tastes, catalogue, late_counts, taken=pairs)
    assert np.bincount(pairs[0], minlength=4).tolist() == counts.tolist()
    assert np.bincount(late[0], minlength=4).tolist() == late_counts.tolist()
    everything = set(zip(*pairs, strict=True)) | set(zip(*late, strict=True))
    assert len(everything) == counts.sum() + late_counts.sum()
    assert all(0 <= item < 50 for _, item in everything)


def test_events_of_the_busiest_user_do_not_overlap() -> None:
    plan = SampleSettings(users=50, items=200).plan(0)
    counts = np.full(50, 300)
    users, items, seconds = draw_events(
        np.random.default_rng(3), draw_tastes(plan, 0), build_catalogue(plan), counts, days=365
    )
    assert (np.diff(seconds) >= 0).all()
    assert ((seconds >= 0) & (seconds < 365 * 86_400)).all()
    assert np.bincount(users).tolist() == counts.tolist()
    assert len(set(zip(users, seconds, strict=True))) == len(users)
    assert ((items >= 0) & (items < 200)).all()


@pytest.mark.parametrize("templates", [ARTISTS, SONG_TITLES, ANIME_TITLES])
def test_names_differ_and_fit_on_a_line(templates: dict[str, int]) -> None:
    names = draw_names(np.random.default_rng(0), templates, 20_000)
    assert len({name.casefold() for name in names}) == 20_000
    assert all(name == name.strip() and name.isprintable() for name in names)
