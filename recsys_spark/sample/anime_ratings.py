"""Format `anime`: ratings of anime by users, and the anime, quoted as in RFC 4180.

`rating.csv/part-*.csv` (user_id, anime_id, rating; a folder that Spark reads as one file) and
`anime.csv`. A rating of -1 means watched, not rated. Ratings are sums of biases of users and anime and
of each user's bias for the taste groups, so a factorisation beats the biased mean.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from recsys_spark.config.sample import SamplePlan
from recsys_spark.sample.catalogue import build_catalogue
from recsys_spark.sample.dirt import Fields, add_field, drop_field, plan_dirt, replace_field
from recsys_spark.sample.histories import Pairs, draw_pairs_of_block
from recsys_spark.sample.lines import csv_lines, digits
from recsys_spark.sample.randomness import FloatArray, IntArray, stream
from recsys_spark.sample.source_format import PlayRows, SideFile, SourceFormat
from recsys_spark.sample.tastes import GROUPS, Tastes, draw_tastes
from recsys_spark.sample.words import ANIME_TITLES, draw_names, split_list

__all__ = ["ANIME"]

GENRES = split_list(
    "Action|Adventure|Comedy|Drama|Fantasy|Historical|Horror|Magic|Mecha|Music|Mystery|Psychological|Romance|School"
    "|Sci-Fi|Shoujo|Shounen|Slice of Life|Sports|Supernatural"
)
TYPES = ["TV", "Movie", "OVA", "Special", "ONA"]
TYPE_SHARES = [0.4, 0.2, 0.2, 0.15, 0.05]


def draw_plays(plan: SamplePlan, block: int) -> PlayRows:
    """Draw distinct pairs of user and anime with ratings for one block of users."""
    tastes = draw_tastes(plan, block)
    pairs, late = draw_pairs_of_block(plan, block, tastes, plan_dirt(plan, block).late)
    return PlayRows(
        clean=_fields(plan, block, pairs, _ratings(plan, block, tastes, pairs, "ratings")),
        late=_fields(plan, block, late, _ratings(plan, block, tastes, late, "late ratings")),
        pairs=len(pairs[0]) + len(late[0]),
    )


def _fields(plan: SamplePlan, block: int, pairs: Pairs, ratings: IntArray) -> Fields:
    """Return the columns of ratings as text."""
    users, items = pairs
    return [
        digits(plan.users_of(block).start + 1 + users),
        digits(anime_numbers(plan)[items]),
        digits(ratings),
    ]


def _ratings(plan: SamplePlan, block: int, tastes: Tastes, pairs: Pairs, purpose: str) -> IntArray:
    """Draw a rating from 1 to 10, or -1, for each pair.

    The share of unrated anime differs between users, from nearly 0 to nearly 1.
    """
    users, items = pairs
    habits = stream(plan.seed, "habits", block)
    size = len(tastes.female)
    user_bias = habits.normal(7.5, 0.6, size)
    unrated_share = habits.beta(0.6, 2.6, size)
    group_bias = habits.normal(0.0, 0.6, (size, GROUPS))
    group_bias[np.arange(size)[:, None], tastes.groups] += 0.5
    rng = stream(plan.seed, purpose, block)
    expected = user_bias[users] + item_bias(plan)[items] + group_bias[users, build_catalogue(plan).groups[items]]
    ratings = np.clip(np.rint(expected + rng.normal(0.0, 0.9, len(users))), 1, 10).astype(np.int64)
    return np.where(rng.random(len(users)) < unrated_share[users], -1, ratings)


def item_bias(plan: SamplePlan) -> FloatArray:
    """Return the rating bias of each anime, which grows with its popularity."""
    popularity = np.log(build_catalogue(plan).popularity)
    popularity = (popularity - popularity.mean()) / popularity.std()
    bias: FloatArray = 0.25 * popularity + stream(plan.seed, "quality").normal(0.0, 0.5, plan.items)
    return bias


def anime_numbers(plan: SamplePlan) -> IntArray:
    """Return the ids of all anime: whole numbers with gaps."""
    return np.cumsum(stream(plan.seed, "numbers").geometric(0.4, plan.items))


def anime_lines(plan: SamplePlan) -> Iterator[pa.Array]:
    """Yield the lines of anime.csv.

    The genres include that of the taste group. Some episodes and mean ratings are missing.
    """
    rng = stream(plan.seed, "items")
    catalogue = build_catalogue(plan)
    kinds = rng.choice(len(TYPES), plan.items, p=np.array(TYPE_SHARES))
    episodes = np.where(kinds == 0, rng.choice([12, 13, 24, 26, 51], plan.items), 1).astype(str)
    means = np.char.mod("%.2f", np.clip(7.0 + item_bias(plan), 1.0, 10.0))
    columns = [
        item_ids(plan).to_pylist(),
        draw_names(rng, ANIME_TITLES, plan.items),
        [_genres(rng, group) for group in catalogue.groups.tolist()],
        np.array(TYPES)[kinds].tolist(),
        np.where(rng.random(plan.items) < 0.03, "Unknown", episodes).tolist(),
        np.where(rng.random(plan.items) < 0.02, "", means).tolist(),
        (1 + catalogue.popularity * 20 * plan.users).astype(np.int64).astype(str).tolist(),
    ]
    yield csv_lines(zip(*columns, strict=True))


def _genres(rng: np.random.Generator, group: int) -> str:
    """Draw up to three genres beside that of the group, in alphabetical order."""
    others = rng.integers(0, GROUPS, rng.integers(0, 4)).tolist()
    return ", ".join(GENRES[genre] for genre in sorted({group, *others}))


def user_ids(plan: SamplePlan, block: int) -> pa.Array:
    """Return the ids of one block of users, from 1."""
    return digits(np.array(plan.users_of(block)) + 1)


def item_ids(plan: SamplePlan) -> pa.Array:
    """Return the ids of all anime as text."""
    return digits(anime_numbers(plan))


ANIME = SourceFormat(
    folder="rating.csv",
    part="part-{}.csv",
    header="user_id,anime_id,rating",
    separator=",",
    copies_are_valid=True,
    breakages={
        "too_few_columns": drop_field,
        "too_many_columns": add_field,
        "empty_user_id": replace_field(0, ""),
        "empty_item_id": replace_field(1, ""),
        "rating_not_a_number": replace_field(2, "great"),
        "rating_zero": replace_field(2, "0"),
        "rating_too_high": replace_field(2, "11"),
        "rating_too_low": replace_field(2, "-2"),
    },
    draw_plays=draw_plays,
    side_files={"anime.csv": SideFile("anime_id,name,genre,type,episodes,rating,members", anime_lines)},
    user_ids=user_ids,
    item_ids=item_ids,
)
