"""Table of gender predictions, with counts of the users left out."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.gender import GenderSettings
from recsys_spark.config.model import BaseConfig
from recsys_spark.gender.labelled_users import data_keys, users_with_profiles
from recsys_spark.gender.prediction import predict_probabilities
from recsys_spark.gender.suppressions import without_suppressed
from recsys_spark.gender.trained_classifier import TrainedClassifier
from recsys_spark.runtime.spark_context import block_tasks
from recsys_spark.storage.tables import Tables

__all__ = ["prediction_rows", "write_predictions"]

TABLE = "gender_predictions"


def write_predictions(tables: Tables, config: BaseConfig, classifier: TrainedClassifier) -> dict[str, int]:
    """Write the predictions of one version in one commit, unless they are up to date.

    Returns the number of users without a prediction by reason: `without_plays`, `too_few_known_items`, `stated`,
    `suppressed`; none if nothing was written.
    """
    version, fingerprint = classifier.version.version, _fingerprint(tables, config.gender)
    if tables.built_from(TABLE, version) == fingerprint:
        return {}
    users = users_with_profiles(tables, config, classifier.source)
    predicted = predict_probabilities(users, classifier.model, ("user_id", "gender"), block_tasks(tables.spark))
    predicted = predicted.persist()
    try:
        enough = predicted.where(F.col("known_items") >= config.gender.min_items)
        selected = enough if config.gender.all_users else enough.where("gender IS NULL")
        rows = prediction_rows(selected, classifier.model.labels, config.gender.confidence)
        rows = rows.withColumn("model_version", F.lit(version))
        tables.replace(TABLE, rows, "model_version", version, fingerprint=fingerprint)
        return _count_left_out(tables, config, predicted, enough)
    finally:
        predicted.unpersist()


def prediction_rows(predicted: DataFrame, labels: tuple[str, ...], confidence: float) -> DataFrame:
    """Return (user_id, gender, probability, probabilities, known_items) of predicted users.

    gender is null below the confidence limit; of equal probabilities the first label counts.
    """
    names = F.array(*map(F.lit, labels))
    probability = F.array_max("probabilities")
    likelier = names[(F.array_position("probabilities", probability) - 1).cast("int")]
    return predicted.select(
        "user_id",
        F.when(probability >= confidence, likelier).alias("gender"),
        probability.alias("probability"),
        F.map_from_arrays(names, "probabilities").alias("probabilities"),
        "known_items",
    )


def _count_left_out(tables: Tables, config: BaseConfig, predicted: DataFrame, enough: DataFrame) -> dict[str, int]:
    """Return the counts by reason; with the predictions they add up to all users of the index."""
    all_users = tables.read("user_index").where("user_id IS NOT NULL")
    allowed = without_suppressed(tables, all_users, config.suppress).count()
    with_plays, with_enough = predicted.count(), enough.count()
    stated = 0 if config.gender.all_users else enough.where("gender IS NOT NULL").count()
    return {
        "suppressed": all_users.count() - allowed,
        "without_plays": allowed - with_plays,
        "too_few_known_items": with_plays - with_enough,
        "stated": stated,
    }


def _fingerprint(tables: Tables, settings: GenderSettings) -> str:
    keys = list(data_keys(tables).values())
    return f"{settings.min_items} {settings.confidence} {settings.all_users} {keys}"
