"""Format `anime`: ratings of users and anime, and the anime themselves, quoted as in RFC 4180.

`rating.csv/part-*.csv` (user_id, anime_id, rating; a folder that Spark reads as one file) and
`anime.csv`. A rating of -1 means watched, not rated. Ratings come from biases of users and anime and
from each user's liking of the taste groups, so a factorisation beats the biased mean.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from recsys_spark.config.sample import SamplePlan
from recsys_spark.sample.dirt import Fields, add_field, drop_field, plan_dirt, put
from recsys_spark.sample.histories import Pairs, draw_pairs_of_block
from recsys_spark.sample.lines import csv_lines, digits
from recsys_spark.sample.randomness import FloatArray, IntArray, stream
from recsys_spark.sample.shelves import build_shelves
from recsys_spark.sample.source_format import PlayRows, SideFile, SourceFormat
from recsys_spark.sample.tastes import GROUPS, Tastes, draw_tastes
from recsys_spark.sample.words import ANIME_TITLES, draw_names, listed

__all__ = ["ANIME"]

GENRES = listed(
    "Action|Adventure|Comedy|Drama|Fantasy|Historical|Horror|Magic|Mecha|Music|Mystery|Psychological|Romance|School"
    "|Sci-Fi|Shoujo|Shounen|Slice of Life|Sports|Supernatural"
)
TYPES = ["TV", "Movie", "OVA", "Special", "ONA"]
TYPE_SHARES = [0.4, 0.2, 0.2, 0.15, 0.05]


def draw_plays(plan: SamplePlan, block: int) -> PlayRows:
    """What one block of users watched, each pair once, with ratings."""
    tastes = draw_tastes(plan, block)
    pairs, late = draw_pairs_of_block(plan, block, tastes, plan_dirt(plan, block).late)
    return PlayRows(
        clean=_fields(plan, block, pairs, _ratings(plan, block, tastes, pairs, "ratings")),
        late=_fields(plan, block, late, _ratings(plan, block, tastes, late, "late ratings")),
        pairs=len(pairs[0]) + len(late[0]),
    )


def _fields(plan: SamplePlan, block: int, pairs: Pairs, ratings: IntArray) -> Fields:
    """Columns of ratings."""
    users, items = pairs
    return [
        digits(plan.users_of(block).start + 1 + users),
        digits(anime_numbers(plan)[items]),
        digits(ratings),
    ]


def _ratings(plan: SamplePlan, block: int, tastes: Tastes, pairs: Pairs, purpose: str) -> IntArray:
    """A rating 1..10 of each pair, or -1: some users rate nearly all they watch, some next to nothing."""
    users, items = pairs
    habits = stream(plan.seed, "habits", block)
    size = len(tastes.female)
    kindness = habits.normal(7.5, 0.6, size)
    silence = habits.beta(0.6, 2.6, size)
    liking = habits.normal(0.0, 0.6, (size, GROUPS))
    liking[np.arange(size)[:, None], tastes.groups] += 0.5
    rng = stream(plan.seed, purpose, block)
    opinion = kindness[users] + quality(plan)[items] + liking[users, build_shelves(plan).groups[items]]
    stars = np.clip(np.rint(opinion + rng.normal(0.0, 0.9, len(users))), 1, 10).astype(np.int64)
    return np.where(rng.random(len(users)) < silence[users], -1, stars)


def quality(plan: SamplePlan) -> FloatArray:
    """How much better than usual each anime is; the popular ones tend to be good."""
    fame = np.log(build_shelves(plan).popularity)
    fame = (fame - fame.mean()) / fame.std()
    better: FloatArray = 0.25 * fame + stream(plan.seed, "quality").normal(0.0, 0.5, plan.items)
    return better


def anime_numbers(plan: SamplePlan) -> IntArray:
    """Ids of all anime: whole numbers with gaps."""
    return np.cumsum(stream(plan.seed, "numbers").geometric(0.4, plan.items))


def anime_lines(plan: SamplePlan) -> Iterator[pa.Array]:
    """anime.csv: the genres hold that of the taste group; some episodes and mean ratings are unknown."""
    rng = stream(plan.seed, "items")
    shelves = build_shelves(plan)
    kinds = rng.choice(len(TYPES), plan.items, p=np.array(TYPE_SHARES))
    episodes = np.where(kinds == 0, rng.choice([12, 13, 24, 26, 51], plan.items), 1).astype(str)
    means = np.char.mod("%.2f", np.clip(7.0 + quality(plan), 1.0, 10.0))
    columns = [
        item_ids(plan).to_pylist(),
        draw_names(rng, ANIME_TITLES, plan.items),
        [_genres(rng, group) for group in shelves.groups.tolist()],
        np.array(TYPES)[kinds].tolist(),
        np.where(rng.random(plan.items) < 0.03, "Unknown", episodes).tolist(),
        np.where(rng.random(plan.items) < 0.02, "", means).tolist(),
        (1 + shelves.popularity * 20 * plan.users).astype(np.int64).astype(str).tolist(),
    ]
    yield csv_lines(zip(*columns, strict=True))


def _genres(rng: np.random.Generator, group: int) -> str:
    """The group's genre and up to three others, in the order of the alphabet."""
    others = rng.integers(0, GROUPS, rng.integers(0, 4)).tolist()
    return ", ".join(GENRES[genre] for genre in sorted({group, *others}))


def user_ids(plan: SamplePlan, block: int) -> pa.Array:
    """Ids of one block of users, from 1."""
    return digits(np.array(plan.users_of(block)) + 1)


def item_ids(plan: SamplePlan) -> pa.Array:
    """Ids of all anime as text."""
    return digits(anime_numbers(plan))


ANIME = SourceFormat(
    folder="rating.csv",
    part="part-{}.csv",
    header="user_id,anime_id,rating",
    separator=",",
    copies_count=True,
    breakages={
        "too_few_columns": drop_field,
        "too_many_columns": add_field,
        "empty_user_id": put(0, ""),
        "empty_item_id": put(1, ""),
        "rating_not_a_number": put(2, "great"),
        "rating_zero": put(2, "0"),
        "rating_too_high": put(2, "11"),
        "rating_too_low": put(2, "-2"),
    },
    draw_plays=draw_plays,
    side_files={"anime.csv": SideFile("anime_id,name,genre,type,episodes,rating,members", anime_lines)},
    user_ids=user_ids,
    item_ids=item_ids,
)
