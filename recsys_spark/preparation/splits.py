"""Training, validation and test parts of interactions, by the protocols that papers use.

Random numbers are hashes of ids and seed: equal content and settings give the same split for any partitioning, which
sampling by partition does not.
"""

from functools import partial

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from recsys_spark.config.model import BaseConfig
from recsys_spark.config.split import RATING_PROTOCOLS, SplitSettings, protocol_of
from recsys_spark.core.errors import ConfigError
from recsys_spark.preparation.predefined_folds import read_predefined_fold
from recsys_spark.preparation.support import k_core
from recsys_spark.preparation.time_split import IndexedPlays, split_by_time
from recsys_spark.storage.tables import Tables

__all__ = ["PAIR_COLUMNS", "build_configured_split", "build_split"]

PAIR_COLUMNS = {
    "user_idx": "int",
    "item_idx": "int",
    "play_count": "bigint",
    "rating": "double",
    "last_played_at": "timestamp",
}
# Added before rounding down, since a share times a number may be just below the exact whole number.
ROUNDING = 1e-9


def build_configured_split(tables: Tables, config: BaseConfig) -> DataFrame:
    """Build the split of `config.split` and `config.run.seed` from the tables of this run (see build_split)."""
    settings, plays, fold = config.split, None, None
    indexes = partial(map, tables.read, ("user_index", "item_index"))
    if settings.protocol == "time":
        # The plays that interactions were built from: the split is named by the version of interactions.
        built = next(commit.metadata for commit in tables.commits("interactions") if "plays_version" in commit.metadata)
        plays = IndexedPlays(tables.read_version("plays", built["plays_version"]), *indexes())
    if settings.protocol == "rating_folds" and settings.folds_path is not None:
        fold = read_predefined_fold(tables.spark, settings.folds_path, settings.fold, *indexes())
    return build_split(tables.read("interactions"), settings, config.run.seed, plays, fold)


def build_split(
    interactions: DataFrame,
    settings: SplitSettings,
    seed: int,
    plays: IndexedPlays | None = None,
    predefined_fold: DataFrame | None = None,
) -> DataFrame:
    """Assign each pair of user and item to a part of the split.

    Returns part STRING, user_idx INT, item_idx INT, play_count BIGINT, rating DOUBLE, last_played_at TIMESTAMP;
    `interactions` has these columns except `part`, one row a pair. Pairs are left out below min_rating or the minimum
    support, without a rating (rating_*) or a time (strong_time, last_n), or by _split_users. Every other pair is in
    exactly one part. The protocol time reads `plays` instead (time_split.py). `predefined_fold` (user_idx, item_idx)
    has the test pairs of rating_folds; without it they are drawn. Raises ConfigError without a protocol and where the
    settings leave no pairs to train on.
    """
    if settings.protocol == "time":
        assert plays is not None
        return split_by_time(plays, settings).select("part", *PAIR_COLUMNS)
    pairs = _eligible_pairs(interactions, settings)
    match protocol_of(settings):
        case "rating_random":
            parted = _split_pairs(pairs, settings, seed)
        case "rating_folds":
            parted = _split_by_fold(pairs, settings, seed, predefined_fold)
        case "per_user_random":
            parted = _split_histories(pairs, settings, seed)
        case "last_n":
            parted = _split_last_n(pairs, settings, seed)
        case "strong_random" | "strong_time":
            parted = _split_users(pairs, settings, seed)
    return parted.select("part", *PAIR_COLUMNS)


def _eligible_pairs(interactions: DataFrame, settings: SplitSettings) -> DataFrame:
    pairs = interactions.select(*[F.col(name).cast(kind).alias(name) for name, kind in PAIR_COLUMNS.items()])
    if settings.protocol in RATING_PROTOCOLS:
        pairs = pairs.where("rating IS NOT NULL")
    if settings.protocol in ("strong_time", "last_n"):
        pairs = pairs.where("last_played_at IS NOT NULL")
    if settings.min_rating is not None:
        pairs = pairs.where(F.col("rating") >= settings.min_rating)
    pairs = k_core(pairs, settings.min_user_items, settings.min_item_users)
    if pairs.isEmpty():
        raise ConfigError(
            f"no interactions are left to split by {settings.protocol}: ingest data with ratings (for rating_*) or "
            "times (for strong_time, last_n), or lower split.min_rating, split.min_user_items or split.min_item_users"
        )
    return pairs


def _split_pairs(pairs: DataFrame, settings: SplitSettings, seed: int) -> DataFrame:
    """Assign each pair independently, so that the parts have their shares on average."""
    chance = _uniform(seed)
    test, validation = settings.test_share, settings.test_share + settings.validation_share
    return pairs.withColumn(
        "part", F.when(chance < test, "test").when(chance < validation, "validation").otherwise("train")
    )


def _split_by_fold(pairs: DataFrame, settings: SplitSettings, seed: int, fold: DataFrame | None) -> DataFrame:
    """Take one fold for the test and a share of the rest for validation.

    The fold is predefined or drawn. Drawn folds of one seed are disjoint and cover all pairs.
    """
    if fold is None:
        is_test = F.pmod(_hash(seed, "user_idx", "item_idx"), F.lit(settings.folds)) == settings.fold - 1
    else:
        pairs = pairs.join(fold.distinct().withColumn("in_fold", F.lit(True)), on=["user_idx", "item_idx"], how="left")
        is_test = F.col("in_fold").isNotNull()
    # Independent of the folds, whose numbers are derived from the hash without this literal.
    is_validation = _uniform(seed, F.lit("validation")) < settings.validation_share
    return pairs.withColumn("part", F.when(is_test, "test").when(is_validation, "validation").otherwise("train"))


def _split_histories(pairs: DataFrame, settings: SplitSettings, seed: int) -> DataFrame:
    """Take the shares of each user's pairs, rounded down, with a minimum of one pair.

    Users with two or more pairs have a test pair, users with three or more a validation pair (as in RecBole).
    """
    n, place = _length_and_place(_hash(seed, "user_idx", "item_idx"), F.col("item_idx"))
    pairs = pairs.withColumns({"n": n, "place": place})
    n_test, n_validation = _floor(settings.test_share), _floor(settings.validation_share)
    n_test += ((n_test == 0) & (F.col("n") - n_validation > 1)).cast("int")
    if settings.validation_share > 0:
        n_validation += ((n_validation == 0) & (F.col("n") - n_test > 1)).cast("int")
    part = F.when(F.col("place") <= n_test, "test").when(F.col("place") <= n_test + n_validation, "validation")
    return pairs.withColumn("part", part.otherwise("train"))


def _split_last_n(pairs: DataFrame, settings: SplitSettings, seed: int) -> DataFrame:
    """Take the last pairs of each history by time.

    Ties are in the order of a hash. A user's first pair is always in training.
    """
    order = (F.col("last_played_at"), _hash(seed, "user_idx", "item_idx"), F.col("item_idx"))
    n, place = _length_and_place(*order)
    pairs = pairs.withColumns({"n": n, "place": place})
    n_test = F.least(F.lit(settings.last_n), F.col("n") - 1)
    n_validation = F.least(F.lit(settings.last_n if settings.validation_share > 0 else 0), F.col("n") - n_test - 1)
    from_end = F.col("n") - F.col("place")
    part = F.when(from_end < n_test, "test").when(from_end < n_test + n_validation, "validation")
    return pairs.withColumn("part", part.otherwise("train"))


def _split_users(pairs: DataFrame, settings: SplitSettings, seed: int) -> DataFrame:
    """Train on all pairs of most users; split the histories of the others into fold-in and held-out pairs.

    Pairs of held-out users with items that no training user has are left out first, as in Liang et al. 2018: no model
    of items can rank them. Of the remaining pairs the last 1 - fold_in_share, rounded down but at least one, is held
    out; a single pair is fold-in.
    """
    groups = _held_out_groups(pairs, settings, seed)
    grouped = pairs.join(F.broadcast(groups), on="user_idx", how="left")
    train = grouped.where("users IS NULL").withColumn("part", F.lit("train"))
    items = train.select("item_idx").distinct()
    held = grouped.where("users IS NOT NULL").join(items, on="item_idx", how="left_semi")
    tie = _hash(seed, "user_idx", "item_idx")
    # Equal times are common: an order by item number would hold out the highest numbers.
    order = (F.col("last_played_at"), tie) if settings.protocol == "strong_time" else (tie,)
    n, place = _length_and_place(*order, F.col("item_idx"))
    held = held.withColumns({"n": n, "place": place})
    n_held_out = F.least(F.greatest(_floor(1 - settings.fold_in_share), F.lit(1)), F.col("n") - 1)
    is_held_out = F.col("place") > F.col("n") - n_held_out
    held = held.withColumn("part", F.when(is_held_out, F.concat(F.lit("held_out_"), "users")).otherwise("fold_in"))
    return train.select("part", *PAIR_COLUMNS).unionByName(held.select("part", *PAIR_COLUMNS))


def _held_out_groups(pairs: DataFrame, settings: SplitSettings, seed: int) -> DataFrame:
    """Return the held-out users: user_idx, users STRING (validation, test).

    These are the users with the smallest hashes among those with enough items. One task sorts 2 x held_out_users rows;
    none of them reaches the driver.
    """
    wanted = 2 * settings.held_out_users
    lengths = pairs.groupBy("user_idx").agg(F.count(F.lit(1)).alias("n"))
    hashed = lengths.where(F.col("n") >= settings.min_held_out_user_items).withColumn("hash", _hash(seed, "user_idx"))
    chosen = hashed.orderBy("hash", "user_idx").limit(wanted)
    place = F.row_number().over(Window.orderBy("hash", "user_idx"))
    users = F.when(place <= settings.held_out_users, "validation").otherwise("test")
    # Checkpointed, as it is used three times: for the count and for two joins.
    groups = chosen.select("user_idx", users.alias("users")).localCheckpoint()
    n_held_out, n_users = groups.count(), lengths.count()
    if n_held_out < wanted or n_users <= wanted:
        raise ConfigError(
            f"split.held_out_users = {settings.held_out_users} needs {wanted} of {n_users} users, and {n_held_out} "
            "have enough items: lower split.held_out_users or split.min_held_out_user_items"
        )
    return groups


def _hash(seed: int, *columns: str | Column) -> Column:
    return F.xxhash64(*columns, F.lit(seed).cast("bigint"))


def _uniform(seed: int, *more: Column) -> Column:
    """Return a pseudo-random number from 0 to 1 for each pair."""
    return F.pmod(_hash(seed, "user_idx", "item_idx", *more), F.lit(1 << 53)) / (1 << 53)


def _length_and_place(*order: Column) -> tuple[Column, Column]:
    """Return the number of a user's pairs, and a pair's place among them from 1."""
    user = Window.partitionBy("user_idx")
    return F.count(F.lit(1)).over(user), F.row_number().over(user.orderBy(*order))


def _floor(share: float) -> Column:
    """Return a share of the column `n`, rounded down."""
    return F.floor(F.col("n") * share + ROUNDING)
