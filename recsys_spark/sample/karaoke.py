"""Format `sample`: the log of a karaoke app, one line for each song sung by a user.

`plays/part-*.csv` (user_id, item_id, played_at in UTC), `users.csv` and `items.csv`, all with a header
and quoted as in RFC 4180. Clean plays fall into the 365 days before LAST_DAY, late ones into the two
years before those. A user's plays all have different times, so equal rows are copies of one event.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from recsys_spark.config.sample import SamplePlan
from recsys_spark.sample.catalogue import build_catalogue
from recsys_spark.sample.dirt import Fields, add_field, drop_field, plan_dirt, replace_field
from recsys_spark.sample.histories import draw_counts, draw_events, draw_late_counts
from recsys_spark.sample.lines import csv_lines, digits, join_fields, pick, texts
from recsys_spark.sample.randomness import IntArray, stream
from recsys_spark.sample.source_format import PlayRows, SideFile, SourceFormat
from recsys_spark.sample.tastes import GROUPS, draw_tastes
from recsys_spark.sample.words import ARTISTS, SONG_TITLES, draw_names, split_list

__all__ = ["KARAOKE", "LAST_DAY"]

LAST_DAY = np.datetime64("2025-07-01T00:00:00", "s")
DAYS = 365
LATE_DAYS = 728
SONGS_OF_AN_ARTIST = 8

GENRES = split_list(
    "Mandopop|Cantopop|Taiwanese Ballad|J-Pop|Enka|Anime Song|City Pop|K-Pop|K-Ballad|Trot|Rock|Indie"
    "|Metal|Punk|Folk|R&B|Hip-Hop|Electronic|Musical|Oldies"
)
COUNTRIES = ["TW", "JP", "HK", "KR", "CN", "MY", "SG", "US", "FR", "DE"]
COUNTRY_SHARES = [0.34, 0.2, 0.12, 0.1, 0.08, 0.05, 0.04, 0.04, 0.02, 0.01]


def draw_plays(plan: SamplePlan, block: int) -> PlayRows:
    """Draw the songs sung by one block of users, ordered by time."""
    tastes, catalogue = draw_tastes(plan, block), build_catalogue(plan)
    counts = draw_counts(plan, block)
    late_counts = draw_late_counts(plan, block, counts, plan_dirt(plan, block).late)
    users, items, seconds = draw_events(stream(plan.seed, "plays", block), tastes, catalogue, counts, DAYS)
    late_users, late_items, late_seconds = draw_events(
        stream(plan.seed, "late plays", block), tastes, catalogue, late_counts, LATE_DAYS
    )
    pairs = np.r_[users, late_users] * plan.items + np.r_[items, late_items]
    first = plan.users_of(block).start
    return PlayRows(
        clean=_fields(first + users, items, seconds - DAYS * 86_400),
        late=_fields(first + late_users, late_items, late_seconds - (DAYS + LATE_DAYS) * 86_400),
        pairs=len(np.unique(pairs)),
    )


def _fields(users: IntArray, items: IntArray, seconds: IntArray) -> Fields:
    """Return the columns of plays as text; seconds count from LAST_DAY."""
    times = np.datetime_as_string(LAST_DAY + seconds.astype("timedelta64[s]"), unit="s", timezone="UTC")
    return [digits(users, "u0000000"), digits(items, "s000000"), texts(times.tolist())]


def user_lines(plan: SamplePlan) -> Iterator[pa.Array]:
    """Yield the lines of users.csv, a chunk for each block; ages and countries may be missing."""
    for block in range(plan.files):
        rng = stream(plan.seed, "users", block)
        size = len(plan.users_of(block))
        ages = np.clip(np.rint(rng.lognormal(3.3, 0.3, size)), 13, 80).astype(np.int64).astype(str)
        countries = rng.choice(len(COUNTRIES), size, p=np.array(COUNTRY_SHARES))
        fields = [
            user_ids(plan, block),
            texts(draw_tastes(plan, block).stated_genders.tolist()),
            texts(np.where(rng.random(size) < 0.1, "", ages).tolist()),
            texts(np.where(rng.random(size) < 0.03, "", np.array(COUNTRIES)[countries]).tolist()),
        ]
        yield join_fields(fields, ",")


def item_lines(plan: SamplePlan) -> Iterator[pa.Array]:
    """Yield the lines of items.csv.

    An artist's songs share a taste group; one song in ten has a random genre.
    """
    rng = stream(plan.seed, "items")
    groups = build_catalogue(plan).groups
    titles = draw_names(rng, SONG_TITLES, plan.items)
    artists = draw_names(rng, ARTISTS, GROUPS * (1 + plan.items // (GROUPS * SONGS_OF_AN_ARTIST)))
    artist_of = groups + GROUPS * rng.integers(0, len(artists) // GROUPS, plan.items)
    genre_of = np.where(rng.random(plan.items) < 0.1, rng.integers(0, GROUPS, plan.items), groups)
    years = 2025 - np.minimum(rng.geometric(0.07, plan.items), 60)
    columns = [
        item_ids(plan).to_pylist(),
        titles,
        pick(artists, artist_of).to_pylist(),
        pick(GENRES, genre_of).to_pylist(),
        years.astype(str).tolist(),
    ]
    yield csv_lines(zip(*columns, strict=True))


def user_ids(plan: SamplePlan, block: int) -> pa.Array:
    """Return the ids of one block of users."""
    return digits(np.array(plan.users_of(block)), "u0000000")


def item_ids(plan: SamplePlan) -> pa.Array:
    """Return the ids of all songs."""
    return digits(np.arange(plan.items), "s000000")


KARAOKE = SourceFormat(
    folder="plays",
    part="part-{}.csv",
    header="user_id,item_id,played_at",
    separator=",",
    copies_are_valid=False,
    breakages={
        "too_few_columns": drop_field,
        "too_many_columns": add_field,
        "empty_user_id": replace_field(0, ""),
        "empty_item_id": replace_field(1, ""),
        "time_not_a_time": replace_field(2, "yesterday evening"),
        "time_impossible": replace_field(2, "2025-02-30T25:61:00Z"),
    },
    draw_plays=draw_plays,
    side_files={
        "users.csv": SideFile("user_id,gender,age,country", user_lines),
        "items.csv": SideFile("item_id,name,artist,genre,year", item_lines),
    },
    user_ids=user_ids,
    item_ids=item_ids,
)
