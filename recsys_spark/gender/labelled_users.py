"""Users with what they have played and what they state, without those who do not want to be looked at."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from recsys_spark.config.gender import GenderSettings
from recsys_spark.core.errors import ConfigError, TrainingError
from recsys_spark.gender.suppressions import without_suppressed
from recsys_spark.recommend.recommendations import recommendation_users
from recsys_spark.recommend.trained_model import TrainedModel, read_vectors
from recsys_spark.runtime.job import JobRun
from recsys_spark.storage.tables import Tables

__all__ = ["assign_folds", "data_versions", "has_enough_labels", "training_users", "users_with_profiles"]

INPUTS = ("interactions", "users", "user_index")


def data_versions(run: JobRun) -> dict[str, int]:
    """The tables that `people` come from, as of this run, each with its data version."""
    tables = [*INPUTS, *(["suppressions"] if run.tables.exists("suppressions") else [])]
    return {name: run.tables.data_version(name) for name in tables}


@contextmanager
def training_users(run: JobRun, stored: TrainedModel | None) -> Iterator[tuple[DataFrame, tuple[str, ...]]]:
    """Users with_labels and the labels, kept in memory within the context. Raises as find_labels does."""
    stated = users_with_profiles(run, stored).where("gender IS NOT NULL").persist()
    try:
        labels = find_labels(stated, run.config.gender)
        yield labelled_users(stated, labels), labels
    finally:
        stated.unpersist()


def users_with_profiles(run: JobRun, stored: TrainedModel | None) -> DataFrame:
    """(user_idx INT, vector ARRAY<FLOAT>, history ARRAY<INT>, history_confidence ARRAY<FLOAT>, user_id STRING, gender
    STRING as stated, age INT), a row a user with a history.

    Histories are weighted as `stored` was trained; without it they hold items only. Suppressed users (scope gender or
    all) are not among them: nothing is learnt from them, nothing is predicted of them.
    """
    tables = run.tables
    index = without_suppressed(run, tables.read("user_index").where("user_id IS NOT NULL"))
    pairs = tables.read("interactions").join(index.select("user_idx"), on="user_idx", how="left_semi")
    if stored is None:
        weighted, vectors, order = pairs.withColumn("confidence", F.lit(1.0).cast("float")), None, "column"
    else:
        weighted, order = stored.kind.with_confidence(pairs, stored.folder), stored.kind.history_order
        vectors = read_vectors(run.tables, "user_vectors", stored.version.version)
    users = recommendation_users(index, vectors, weighted, order).where("history IS NOT NULL")
    said = tables.read("users").select("user_id", "gender", "age")
    named = users.join(index.select("user_idx", "user_id"), on="user_idx", how="inner")
    return named.join(said, on="user_id", how="left").select(
        "user_idx", "vector", "history", "history_confidence", "user_id", "gender", "age"
    )


def find_labels(users: DataFrame, settings: GenderSettings) -> tuple[str, ...]:
    """The genders that can be learnt from `users` (people), in alphabetical order: those that at least
    gender.min_class_users state.

    Raises TrainingError where fewer than two are left, ConfigError above gender.max_classes.
    """
    stated = users.where("gender IS NOT NULL").groupBy("gender").agg(F.count(F.lit(1)).alias("users"))
    rows = stated.orderBy(F.desc("users"), "gender").limit(settings.max_classes + 1).collect()
    if len(rows) > settings.max_classes:
        raise ConfigError(
            f"there are more than gender.max_classes = {settings.max_classes} different genders: is source.columns."
            "gender the right column?"
        )
    labels = sorted(row["gender"] for row in rows if row["users"] >= settings.min_class_users)
    if len(labels) < 2:
        found = ", ".join(f"{row['users']} {row['gender']}" for row in rows) or "nobody states one"
        raise TrainingError(
            f"a classifier needs two genders that gender.min_class_users = {settings.min_class_users} users with plays "
            f"state each; there are: {found}. Ingest user profiles with genders, or lower that key"
        )
    return tuple(labels)


def has_enough_labels(tables: Tables, settings: GenderSettings) -> bool:
    """Whether at least two genders are stated by gender.min_class_users users each, with plays or without."""
    if not tables.exists("users"):
        return False
    counts = tables.read("users").where("gender IS NOT NULL").groupBy("gender").count()
    return counts.where(F.col("count") >= settings.min_class_users).limit(2).count() == 2


def labelled_users(users: DataFrame, labels: tuple[str, ...]) -> DataFrame:
    """Users who state one of the labels, with `label` DOUBLE, its place among them."""
    places = F.create_map(*[part for place, label in enumerate(labels) for part in (F.lit(label), F.lit(float(place)))])
    return users.withColumn("label", places[F.col("gender")]).where("label IS NOT NULL")


def assign_folds(users: DataFrame, folds: int, seed: int) -> DataFrame:
    """Adds `fold` INT from 0: each label is dealt out evenly, in the order of a hash of user ids and the seed."""
    order = Window.partitionBy("label").orderBy(F.xxhash64("user_id", F.lit(seed)), "user_id")
    # The labels' remainders do not all go to the first fold.
    place = F.row_number().over(order) + F.col("label").cast("int")
    # A window keeps a label together: only ids go there, not what users have played.
    dealt = users.select("user_idx", "user_id", "label").withColumn("fold", (place % folds).cast("int"))
    return users.drop("fold").join(dealt.select("user_idx", "fold"), on="user_idx", how="inner")
