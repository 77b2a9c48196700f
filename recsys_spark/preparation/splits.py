"""Training, validation and test parts of the interactions, by the protocols that papers use.

Chance is a hash of ids and seed: the same content and settings give the same split however the data lie, which
no sampling by partition does. It costs nothing, but neighbouring seeds differ only by that hash.
"""

from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from recsys_spark.config.split import RATING_PROTOCOLS, SplitSettings
from recsys_spark.core.errors import ConfigError
from recsys_spark.preparation.support import k_core
from recsys_spark.preparation.time_split import Plays, split_by_time

__all__ = ["HeldOut", "build_split", "training_part", "validation_pairs"]

COLUMNS = {
    "user_idx": "int",
    "item_idx": "int",
    "play_count": "bigint",
    "rating": "double",
    "last_played_at": "timestamp",
}
# What a model may know of the users that it is judged on, and what it must find.
GIVEN = {"validation": ("train", "fold_in"), "test": ("train", "validation", "fold_in")}
HIDDEN = {"validation": ("validation", "held_out_validation"), "test": ("test", "held_out_test")}

# A share of a whole number may come out just below the whole number that it is.
ROUNDING = 1e-9


class HeldOut(NamedTuple):
    """The pairs that are given of the users of a part, and those to be found; both user_idx, item_idx, ..."""

    fold_in: DataFrame
    held_out: DataFrame


def build_split(
    interactions: DataFrame,
    settings: SplitSettings,
    seed: int,
    plays: Plays | None = None,
    given_fold: DataFrame | None = None,
) -> DataFrame:
    """part STRING, user_idx INT, item_idx INT, play_count BIGINT, rating DOUBLE, last_played_at TIMESTAMP.

    `interactions` has those columns but `part`, one row a pair. Pairs leave that min_rating or minimum support rule
    out, that have no rating (rating_*) or no time (strong_time, last_n), or that _hold_out_users names. All others
    are in exactly one part. The protocol time looks at `plays` instead (time_split.py); `given_fold` (user_idx,
    item_idx) are the test pairs of rating_folds where they are not drawn. Raises ConfigError without a protocol and
    where the settings leave nothing to train on.
    """
    if settings.protocol == "time":
        assert plays is not None
        return split_by_time(plays, settings).select("part", *COLUMNS)
    pairs = _taking_part(interactions, settings)
    match settings.protocol:
        case "rating_random":
            parted = _part_pairs(pairs, settings, seed)
        case "rating_folds":
            parted = _hold_out_fold(pairs, settings, seed, given_fold)
        case "per_user_random":
            parted = _part_histories(pairs, settings, seed)
        case "last_n":
            parted = _part_ends(pairs, settings, seed)
        case "strong_random" | "strong_time":
            parted = _hold_out_users(pairs, settings, seed)
        case None:
            raise ConfigError("there is no protocol to split by: set split.protocol")
    return parted.select("part", *COLUMNS)


def training_part(split: DataFrame, with_validation: bool = False) -> DataFrame:
    """The pairs to train on, `split` being the rows of one split_id; a last fit may have the validation pairs as
    well, but where those are of held-out users.
    """
    parts = ("train", "validation") if with_validation else ("train",)
    return split.where(F.col("part").isin(*parts)).select(*COLUMNS)


def validation_pairs(split: DataFrame, part: str) -> HeldOut:
    """What is given and what is to be found in part "validation" or "test" of one split_id.

    Only users with something to be found. Given are the fold-in pairs of held-out users; of others, the pairs of
    training and, for the test, of validation.
    """
    hidden = split.where(F.col("part").isin(*HIDDEN[part])).select(*COLUMNS)
    users = hidden.select("user_idx").distinct()
    given = split.where(F.col("part").isin(*GIVEN[part])).select(*COLUMNS)
    return HeldOut(given.join(users, on="user_idx", how="left_semi"), hidden)


def _taking_part(interactions: DataFrame, settings: SplitSettings) -> DataFrame:
    pairs = interactions.select(*[F.col(name).cast(kind).alias(name) for name, kind in COLUMNS.items()])
    if settings.protocol in RATING_PROTOCOLS:
        pairs = pairs.where("rating IS NOT NULL")
    if settings.protocol in ("strong_time", "last_n"):
        pairs = pairs.where("last_played_at IS NOT NULL")
    if settings.min_rating is not None:
        pairs = pairs.where(F.col("rating") >= settings.min_rating)
    pairs = k_core(pairs, settings.min_user_items, settings.min_item_users)
    if pairs.isEmpty():
        raise ConfigError(
            f"no interaction is left to split: {settings.protocol} needs ratings (rating_*) or times "
            "(strong_time, last_n); else lower split.min_rating, split.min_user_items or split.min_item_users"
        )
    return pairs


def _part_pairs(pairs: DataFrame, settings: SplitSettings, seed: int) -> DataFrame:
    """Each pair by itself, so that the parts have their shares on average."""
    chance = _chance(seed)
    test, validation = settings.test_share, settings.test_share + settings.validation_share
    return pairs.withColumn(
        "part", F.when(chance < test, "test").when(chance < validation, "validation").otherwise("train")
    )


def _hold_out_fold(pairs: DataFrame, settings: SplitSettings, seed: int, given: DataFrame | None) -> DataFrame:
    """One fold to test on, as given or drawn; of the rest a share for validation. Folds of one seed part the pairs."""
    if given is None:
        is_test = F.pmod(_hash(seed, "user_idx", "item_idx"), F.lit(settings.folds)) == settings.fold - 1
    else:
        pairs = pairs.join(
            given.distinct().withColumn("is_given", F.lit(True)), on=["user_idx", "item_idx"], how="left"
        )
        is_test = F.col("is_given").isNotNull()
    # Another draw than that of the folds, whose numbers are a part of the same hash.
    is_validation = _chance(seed, F.lit("validation")) < settings.validation_share
    return pairs.withColumn("part", F.when(is_test, "test").when(is_validation, "validation").otherwise("train"))


def _part_histories(pairs: DataFrame, settings: SplitSettings, seed: int) -> DataFrame:
    """The shares of each user's number of pairs, rounded down, but one pair at least: a test pair for users of two
    pairs or more, a validation pair for users of three or more (as RecBole counts).
    """
    n, place = _length_and_place(_hash(seed, "user_idx", "item_idx"), F.col("item_idx"))
    pairs = pairs.withColumns({"n": n, "place": place})
    n_test, n_validation = _floor(settings.test_share), _floor(settings.validation_share)
    n_test += ((n_test == 0) & (F.col("n") - n_validation > 1)).cast("int")
    if settings.validation_share > 0:
        n_validation += ((n_validation == 0) & (F.col("n") - n_test > 1)).cast("int")
    part = F.when(F.col("place") <= n_test, "test").when(F.col("place") <= n_test + n_validation, "validation")
    return pairs.withColumn("part", part.otherwise("train"))


def _part_ends(pairs: DataFrame, settings: SplitSettings, seed: int) -> DataFrame:
    """The last pairs of each history by time, ties in a hashed order; a user's first pair is always trained on."""
    order = (F.col("last_played_at"), _hash(seed, "user_idx", "item_idx"), F.col("item_idx"))
    n, place = _length_and_place(*order)
    pairs = pairs.withColumns({"n": n, "place": place})
    n_test = F.least(F.lit(settings.last_n), F.col("n") - 1)
    n_validation = F.least(F.lit(settings.last_n if settings.validation_share > 0 else 0), F.col("n") - n_test - 1)
    from_end = F.col("n") - F.col("place")
    part = F.when(from_end < n_test, "test").when(from_end < n_test + n_validation, "validation")
    return pairs.withColumn("part", part.otherwise("train"))


def _hold_out_users(pairs: DataFrame, settings: SplitSettings, seed: int) -> DataFrame:
    """All pairs of most users to train on; the history of the others cut in a fold-in and a held-out part.

    Pairs of held-out users with items that no training user has leave first, as in Liang et al. 2018: no model of
    items could find them. Of what remains, the last 1 - fold_in_share, rounded down, is held out, one pair at least;
    a single pair is fold-in.
    """
    groups = _held_out_groups(pairs, settings, seed)
    grouped = pairs.join(F.broadcast(groups), on="user_idx", how="left")
    train = grouped.where("users IS NULL").withColumn("part", F.lit("train"))
    items = train.select("item_idx").distinct()
    held = grouped.where("users IS NOT NULL").join(items, on="item_idx", how="left_semi")
    chance = _hash(seed, "user_idx", "item_idx")
    # Equal times are common: an order by item number would hold out the highest numbers.
    order = (F.col("last_played_at"), chance) if settings.protocol == "strong_time" else (chance,)
    n, place = _length_and_place(*order, F.col("item_idx"))
    held = held.withColumns({"n": n, "place": place})
    n_held_out = F.least(F.greatest(_floor(1 - settings.fold_in_share), F.lit(1)), F.col("n") - 1)
    is_held_out = F.col("place") > F.col("n") - n_held_out
    held = held.withColumn("part", F.when(is_held_out, F.concat(F.lit("held_out_"), "users")).otherwise("fold_in"))
    return train.select("part", *COLUMNS).unionByName(held.select("part", *COLUMNS))


def _held_out_groups(pairs: DataFrame, settings: SplitSettings, seed: int) -> DataFrame:
    """user_idx, users STRING (validation, test): the users with the smallest hashes among those with enough items.

    Only 2 x held_out_users rows are ever brought together, in one task; none reaches the driver.
    """
    wanted = 2 * settings.held_out_users
    lengths = pairs.groupBy("user_idx").agg(F.count(F.lit(1)).alias("n"))
    hashed = lengths.where(F.col("n") >= settings.min_held_out_user_items).withColumn("hash", _hash(seed, "user_idx"))
    chosen = hashed.orderBy("hash", "user_idx").limit(wanted)
    place = F.row_number().over(Window.orderBy("hash", "user_idx"))
    users = F.when(place <= settings.held_out_users, "validation").otherwise("test")
    # Kept, as it is needed three times: joined with, counted, and joined with for the items.
    groups = chosen.select("user_idx", users.alias("users")).localCheckpoint()
    n_held_out, n_users = groups.count(), lengths.count()
    if n_held_out < wanted or n_users <= wanted:
        raise ConfigError(
            f"split.held_out_users = {settings.held_out_users} takes {wanted} of {n_users} users, and there are "
            f"{n_held_out} to choose from: set a smaller number, or lower split.min_held_out_user_items"
        )
    return groups


def _hash(seed: int, *columns: str | Column) -> Column:
    return F.xxhash64(*columns, F.lit(seed).cast("bigint"))


def _chance(seed: int, *more: Column) -> Column:
    """A number from 0 to 1 for each pair."""
    return F.pmod(_hash(seed, "user_idx", "item_idx", *more), F.lit(1 << 53)) / (1 << 53)


def _length_and_place(*order: Column) -> tuple[Column, Column]:
    """The number of a user's pairs, and a pair's place among them from 1."""
    user = Window.partitionBy("user_idx")
    return F.count(F.lit(1)).over(user), F.row_number().over(user.orderBy(*order))


def _floor(share: float) -> Column:
    """That share of `n`, rounded down."""
    return F.floor(F.col("n") * share + ROUNDING)
