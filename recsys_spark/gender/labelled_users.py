"""Users with histories and stated genders, without suppressed users."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from recsys_spark.config.gender import GenderSettings
from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import ConfigError, TrainingError
from recsys_spark.gender.suppressions import without_suppressed
from recsys_spark.recommend.recommendations import recommendation_users
from recsys_spark.recommend.trained_model import TrainedModel, read_vectors
from recsys_spark.storage.tables import Tables

__all__ = [
    "assign_folds",
    "check_evaluated_users",
    "data_keys",
    "has_enough_labels",
    "training_users",
    "users_with_profiles",
]

INPUTS = ("interactions", "users", "user_index")


def data_keys(tables: Tables) -> dict[str, int | str]:
    """Return the key (see Tables.data_key) of each table that users_with_profiles reads, as of this run."""
    names = [*INPUTS, *(["suppressions"] if tables.exists("suppressions") else [])]
    return {name: tables.data_key(name) for name in names}


@contextmanager
def training_users(
    tables: Tables, config: BaseConfig, source: TrainedModel | None
) -> Iterator[tuple[DataFrame, tuple[str, ...]]]:
    """Yield the labelled users and the labels, cached within the context.

    Raises the errors of find_labels.
    """
    stated = users_with_profiles(tables, config, source).where("gender IS NOT NULL").persist()
    try:
        labels = find_labels(stated, config.gender)
        yield label_users(stated, labels), labels
    finally:
        stated.unpersist()


def users_with_profiles(tables: Tables, config: BaseConfig, source: TrainedModel | None) -> DataFrame:
    """Return one row a user with a history, with the stated gender and age.

    Columns: user_idx INT, vector ARRAY<FLOAT>, history ARRAY<INT>, history_confidence ARRAY<FLOAT>, user_id STRING,
    gender STRING, age INT. Histories have the confidences that `source` was trained with; without a source they hold
    items only. Suppressed users (scope gender or all) are left out of training and prediction alike.
    """
    index = without_suppressed(tables, tables.read("user_index").where("user_id IS NOT NULL"), config.suppress)
    pairs = tables.read("interactions").join(index.select("user_idx"), on="user_idx", how="left_semi")
    if source is None:
        weighted, vectors, order = pairs.withColumn("confidence", F.lit(1.0).cast("float")), None, "column"
    else:
        weighted, order = source.kind.with_confidence(pairs, source.folder), source.kind.history_order
        vectors = read_vectors(tables, "user_vectors", source.version.version)
    users = recommendation_users(index, vectors, weighted, order).where("history IS NOT NULL")
    profiles = tables.read("users").select("user_id", "gender", "age")
    with_ids = users.join(index.select("user_idx", "user_id"), on="user_idx", how="inner")
    return with_ids.join(profiles, on="user_id", how="left").select(
        "user_idx", "vector", "history", "history_confidence", "user_id", "gender", "age"
    )


def find_labels(users: DataFrame, settings: GenderSettings) -> tuple[str, ...]:
    """Return the genders to train on, in alphabetical order.

    These are the genders that at least gender.min_class_users of `users` (users_with_profiles) state. Raises
    TrainingError for fewer than two genders, ConfigError for more than gender.max_classes.
    """
    stated = users.where("gender IS NOT NULL").groupBy("gender").agg(F.count(F.lit(1)).alias("users"))
    rows = stated.orderBy(F.desc("users"), "gender").limit(settings.max_classes + 1).collect()
    if len(rows) > settings.max_classes:
        raise ConfigError(
            f"the users state more than gender.max_classes = {settings.max_classes} different genders: check that "
            "source.columns.gender names the right column, or raise that key"
        )
    labels = sorted(row["gender"] for row in rows if row["users"] >= settings.min_class_users)
    if len(labels) < 2:
        found = ", ".join(f"{row['users']} {row['gender']}" for row in rows) or "no user states one"
        raise TrainingError(
            f"a classifier needs two genders with at least gender.min_class_users = {settings.min_class_users} users "
            f"with plays each; found: {found}. Ingest user profiles with genders, or lower that key"
        )
    return tuple(labels)


def check_evaluated_users(n_users: int, settings: GenderSettings) -> None:
    """Raise ConfigError for more labelled users than one task of an evaluation may hold."""
    if n_users > settings.max_evaluated_users:
        raise ConfigError(
            f"evaluate_gender would hold {n_users:,} users with a gender in one task, more than"
            f" gender.max_evaluated_users = {settings.max_evaluated_users:,}: raise that key if a task has 200 bytes of"
            " memory for each user"
        )


def has_enough_labels(tables: Tables, settings: GenderSettings) -> bool:
    """Return True if at least two genders have gender.min_class_users users, with or without plays."""
    if not tables.exists("users"):
        return False
    counts = tables.read("users").where("gender IS NOT NULL").groupBy("gender").count()
    return counts.where(F.col("count") >= settings.min_class_users).limit(2).count() == 2


def label_users(users: DataFrame, labels: tuple[str, ...]) -> DataFrame:
    """Return the users who state one of the labels, with its place as `label` DOUBLE."""
    places = F.create_map(*[part for place, label in enumerate(labels) for part in (F.lit(label), F.lit(float(place)))])
    return users.withColumn("label", places[F.col("gender")]).where("label IS NOT NULL")


def assign_folds(users: DataFrame, folds: int, seed: int) -> DataFrame:
    """Add `fold` INT from 0, stratified by label.

    Users of a label are assigned in turn, ordered by a hash of user id and seed.
    """
    order = Window.partitionBy("label").orderBy(F.xxhash64("user_id", F.lit(seed)), "user_id")
    # Each label begins with another fold, so that not all remainders are in the first one.
    place = F.row_number().over(order) + F.col("label").cast("int")
    # A window moves all users of a label to one task, so it gets ids only and no histories.
    assigned = users.select("user_idx", "user_id", "label").withColumn("fold", (place % folds).cast("int"))
    return users.drop("fold").join(assigned.select("user_idx", "fold"), on="user_idx", how="inner")
