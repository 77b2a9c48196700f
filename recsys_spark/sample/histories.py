"""Histories of users: distinct pairs for totals and ratings, timed events for a log."""

import numpy as np
import numpy.typing as npt

from recsys_spark.config.sample import SamplePlan
from recsys_spark.sample.catalogue import Catalogue, build_catalogue
from recsys_spark.sample.randomness import IntArray, long_tailed_counts, ordinals, stream
from recsys_spark.sample.tastes import Tastes, choose_groups

__all__ = ["Pairs", "draw_counts", "draw_events", "draw_late_counts", "draw_pairs", "draw_pairs_of_block"]

Pairs = tuple[IntArray, IntArray]
Seconds = npt.NDArray[np.int64]

ROUNDS = 8
DAY_SECONDS = 86_400
EVENING_SECONDS = 17 * 3_600
MAX_EVENING_SONGS = 24
SONG_SECONDS = 300


def draw_counts(plan: SamplePlan, block: int) -> IntArray:
    """Draw the number of clean rows of each user of the block, shape (U,).

    The blocks sum to `plan.rows`.
    """
    return long_tailed_counts(
        stream(plan.seed, "counts", block),
        size=len(plan.users_of(block)),
        total=plan.share_of(plan.rows, block),
        spread=plan.spread,
        cap=plan.most_rows_of_a_user,
    )


def draw_late_counts(plan: SamplePlan, block: int, counts: IntArray, late: int) -> IntArray:
    """Draw the number of late rows of each user, shape (U,), with the sum `late`.

    A user has at most as many late rows as clean ones.
    """
    owners = np.repeat(np.arange(len(counts)), counts)
    chosen = stream(plan.seed, "late counts", block).choice(len(owners), late, replace=False)
    return np.bincount(owners[chosen], minlength=len(counts))


def draw_pairs_of_block(plan: SamplePlan, block: int, tastes: Tastes, late: int) -> tuple[Pairs, Pairs]:
    """Draw the clean pairs of the block and `late` others, all distinct."""
    catalogue = build_catalogue(plan)
    counts = draw_counts(plan, block)
    late_counts = draw_late_counts(plan, block, counts, late)
    pairs = draw_pairs(stream(plan.seed, "plays", block), tastes, catalogue, counts)
    return pairs, draw_pairs(stream(plan.seed, "late plays", block), tastes, catalogue, late_counts, taken=pairs)


def draw_pairs(
    rng: np.random.Generator, tastes: Tastes, catalogue: Catalogue, counts: IntArray, taken: Pairs | None = None
) -> Pairs:
    """Draw `counts[u]` distinct items, not in `taken`, for each user u of the block.

    Returns users and items, both (sum of counts,), ordered by user. Draws with replacement and drops repeats, for a
    few rounds; items that heavy listeners still lack are then drawn uniformly from all.
    """
    width = len(catalogue.order)
    held = np.empty(0, np.int64) if taken is None else taken[0] * width + taken[1]
    given, missing = len(held), counts.copy()
    for _ in range(ROUNDS):
        users = np.repeat(np.arange(len(counts)), np.where(missing > 0, missing + missing // 2 + 1, 0))
        if len(users) == 0:
            break
        drawn = users * width + catalogue.draw(rng, choose_groups(rng, tastes, users))
        _, first = np.unique(np.concatenate([held, drawn]), return_index=True)
        fresh = np.sort(first[first >= len(held)]) - len(held)
        fresh = fresh[ordinals(users[fresh]) < missing[users[fresh]]]
        held = np.concatenate([held, drawn[fresh]])
        missing -= np.bincount(users[fresh], minlength=len(counts))
    rest = [_any_items(rng, held, user, width, missing[user]) for user in np.flatnonzero(missing)]
    keys = np.concatenate([held[given:], *rest])
    keys = keys[np.argsort(keys // width, kind="stable")]
    return keys // width, keys % width


def _any_items(rng: np.random.Generator, held: IntArray, user: int, width: int, count: int) -> IntArray:
    """Draw the keys of `count` items that the user does not have yet, uniformly."""
    own = held[held // width == user] % width
    free = np.setdiff1d(np.arange(width), own)
    return user * width + rng.choice(free, count, replace=False)


def draw_events(
    rng: np.random.Generator, tastes: Tastes, catalogue: Catalogue, counts: IntArray, days: int
) -> tuple[IntArray, IntArray, Seconds]:
    """Draw `counts[u]` plays of each user u of the block within `days` days.

    Returns users, items and seconds, ordered by time. Songs are sung in evenings, each mostly of one taste group, and
    some songs often. A user's evenings are on different days and the songs of an evening follow each other, so that
    a user's plays all have different times.
    """
    users = np.repeat(np.arange(len(counts)), counts)
    places = ordinals(users)
    # Evenings of five songs on average, too short to reach the next day's.
    opens = (rng.random(len(users)) < 0.2) | (places % MAX_EVENING_SONGS == 0)
    evenings = np.cumsum(opens) - 1
    evening_groups = choose_groups(rng, tastes, users[opens])
    groups = np.where(rng.random(len(users)) < 0.6, evening_groups[evenings], choose_groups(rng, tastes, users))
    items = catalogue.draw(rng, groups)[_favourites(rng, places)]
    starts = _evening_starts(rng, users[opens], len(counts), days)
    seconds = starts[evenings] + ordinals(evenings) * SONG_SECONDS + rng.integers(0, SONG_SECONDS - 60, len(users))
    order = np.lexsort((users, seconds))
    return users[order], items[order], seconds[order]


def _favourites(rng: np.random.Generator, places: IntArray) -> IntArray:
    """Return for each play the index of the play that it repeats, or its own.

    One play in four repeats an earlier one of the user.
    """
    source = np.arange(len(places))
    repeats = rng.random(len(places)) < 0.25
    earlier = source - places + np.floor(rng.random(len(places)) * places).astype(np.int64)
    source = np.where(repeats, earlier, source)
    while (source[source] != source).any():
        source = source[source]
    return source


def _evening_starts(rng: np.random.Generator, users: IntArray, size: int, days: int) -> Seconds:
    """Draw the start of each evening in seconds.

    The evenings of a user are on different days, in order; weekends are preferred.
    """
    appeal = np.where(np.arange(days) % 7 >= 5, 0.8, 0.0) + rng.gumbel(size=(size, days))
    wanted = np.bincount(users, minlength=size)
    chosen = np.where(np.arange(days) < wanted[:, None], np.argsort(-appeal, axis=1), days)
    chosen_days = np.sort(chosen, axis=1)[users, ordinals(users)]
    return chosen_days * DAY_SECONDS + EVENING_SECONDS + rng.integers(0, 4 * 3_600, len(users))
