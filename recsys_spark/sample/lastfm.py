"""Format `lastfm_360k`: play totals of users and artists, and profiles, tab-separated.

`usersha1-artmbid-artname-plays.tsv/` is a folder of part files named after it (Spark reads the folder
as one file); `usersha1-profile.tsv` is one file. There is no header and no quoting: a double quote in a
name is part of the name. Artists without a MusicBrainz id have an empty one, and are identified by their name.
"""

from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha1
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys_spark.config.sample import SamplePlan
from recsys_spark.sample.catalogue import build_catalogue
from recsys_spark.sample.dirt import Fields, add_field, drop_field, plan_dirt, replace_field
from recsys_spark.sample.histories import Pairs, draw_pairs_of_block
from recsys_spark.sample.lines import digits, join_fields, pick, texts
from recsys_spark.sample.randomness import FloatArray, stream
from recsys_spark.sample.source_format import PlayRows, SideFile, SourceFormat
from recsys_spark.sample.tastes import Tastes, draw_tastes
from recsys_spark.sample.words import ARTISTS, draw_names, split_list

__all__ = ["LASTFM_360K"]

PLAYS = "usersha1-artmbid-artname-plays"
WITHOUT_MBID = 0.03

COUNTRIES = split_list(
    "United States|Germany|United Kingdom|Poland|Russian Federation|Brazil|Sweden|Spain|Finland|Netherlands"
    "|Japan|Taiwan|Korea, Republic of|Türkiye|Côte d'Ivoire|Åland Islands"
)
IMPOSSIBLE_AGES = ["-1337", "0", "1", "109", "2009"]
FIRST_SIGN_UP, LAST_SIGN_UP = np.datetime64("2002-11-01"), np.datetime64("2009-04-01")


def draw_plays(plan: SamplePlan, block: int) -> PlayRows:
    """Draw distinct pairs of user and artist with play totals for one block of users."""
    tastes = draw_tastes(plan, block)
    pairs, late = draw_pairs_of_block(plan, block, tastes, plan_dirt(plan, block).late)
    log_plays = stream(plan.seed, "devotion", block).normal(4.0, 0.8, len(tastes.female))
    return PlayRows(
        clean=_fields(plan, block, tastes, pairs, log_plays, "totals"),
        late=_fields(plan, block, tastes, late, log_plays, "late totals"),
        pairs=len(pairs[0]) + len(late[0]),
    )


def _fields(plan: SamplePlan, block: int, tastes: Tastes, pairs: Pairs, log_plays: FloatArray, purpose: str) -> Fields:
    """Return the columns of plays as text.

    Totals are log-normal, and larger for artists of the user's own groups.
    """
    users, items = pairs
    own = (tastes.groups[users] == build_catalogue(plan).groups[items][:, None]).any(axis=1)
    spread = stream(plan.seed, purpose, block).normal(0.0, 1.1, len(users))
    totals = 1 + np.exp(log_plays[users] + 0.4 * own + spread).astype(np.int64)
    mbids, names = artists(plan)
    artist = pa.array(items)
    return [
        user_ids(plan, block).take(pa.array(users)),
        mbids.take(artist),
        names.take(artist),
        digits(totals),
    ]


@lru_cache(maxsize=2)
def artists(plan: SamplePlan) -> tuple[pa.Array, pa.Array]:
    """Return the MusicBrainz ids (empty where missing) and distinct names of all artists."""
    rng = stream(plan.seed, "items")
    names = draw_names(rng, ARTISTS, plan.items)
    drawn = rng.bytes(16 * plan.items)
    missing = rng.random(plan.items) < WITHOUT_MBID
    mbids = [
        "" if missing[item] else str(UUID(bytes=drawn[16 * item : 16 * item + 16], version=4))
        for item in range(plan.items)
    ]
    return texts(mbids), texts(names)


def profile_lines(plan: SamplePlan) -> Iterator[pa.Array]:
    """Yield the lines of the profiles, a chunk for each block.

    Gender and age may be missing; a few ages are impossible.
    """
    days = np.arange(FIRST_SIGN_UP, LAST_SIGN_UP).tolist()
    dates = [f"{day:%b} {day.day}, {day.year}" for day in days]
    shares = (np.arange(len(COUNTRIES)) + 1.0) ** -1.0
    for block in range(plan.files):
        rng = stream(plan.seed, "users", block)
        size = len(plan.users_of(block))
        ages = np.clip(np.rint(rng.lognormal(3.15, 0.28, size)), 10, 90).astype(np.int64).astype(str)
        ages = np.where(rng.random(size) < 0.2, "", ages)
        impossible = np.array(IMPOSSIBLE_AGES)[rng.integers(0, len(IMPOSSIBLE_AGES), size)]
        fields = [
            user_ids(plan, block),
            texts(draw_tastes(plan, block).stated_genders.tolist()),
            texts(np.where(rng.random(size) < 0.003, impossible, ages).tolist()),
            pick(COUNTRIES, rng.choice(len(COUNTRIES), size, p=shares / shares.sum())),
            pick(dates, rng.integers(0, len(dates), size)),
        ]
        yield join_fields(fields, "\t")


@lru_cache(maxsize=2)
def user_ids(plan: SamplePlan, block: int) -> pa.Array:
    """Return the ids of one block of users: SHA-1 hashes."""
    return texts([sha1(f"{plan.seed} {user}".encode()).hexdigest() for user in plan.users_of(block)])


def item_ids(plan: SamplePlan) -> pa.Array:
    """Return the ids of all artists: the MusicBrainz id, or `name:` and the name."""
    mbids, names = artists(plan)
    return pc.if_else(pc.equal(mbids, ""), pc.binary_join_element_wise("name:", names, ""), mbids)


LASTFM_360K = SourceFormat(
    folder=f"{PLAYS}.tsv",
    part=PLAYS + "-{}.tsv",
    header="",
    separator="\t",
    copies_are_valid=True,
    breakages={
        "too_few_columns": drop_field,
        "too_many_columns": add_field,
        "empty_user_id": replace_field(0, ""),
        "no_artist": lambda fields: replace_field(2, "")(replace_field(1, "")(fields)),
        "count_not_a_number": replace_field(3, "many"),
        "count_negative": replace_field(3, "-7"),
        "count_zero": replace_field(3, "0"),
    },
    draw_plays=draw_plays,
    side_files={"usersha1-profile.tsv": SideFile("", profile_lines)},
    user_ids=user_ids,
    item_ids=item_ids,
)
