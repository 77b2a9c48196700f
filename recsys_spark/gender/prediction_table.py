"""The table of predictions: who gets one, what is left open, and why the others get none."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.gender.labelled_users import data_versions, users_with_profiles
from recsys_spark.gender.prediction import predict_probabilities
from recsys_spark.gender.suppressions import without_suppressed
from recsys_spark.gender.trained_classifier import TrainedClassifier
from recsys_spark.runtime.job import JobRun
from recsys_spark.runtime.session import block_tasks

__all__ = ["prediction_rows", "write_predictions"]

TABLE = "gender_predictions"


def write_predictions(run: JobRun, stored: TrainedClassifier) -> dict[str, int]:
    """Writes the predictions of one version in one commit, unless they stand there already.

    Returns how many users get none, by reason: `without_plays`, `too_few_known_items`, `stated`, `suppressed`.
    """
    version, fingerprint = stored.version.version, _fingerprint(run)
    if run.tables.built_from(TABLE, version) == fingerprint:
        return {}
    users = users_with_profiles(run, stored.source)
    known = predict_probabilities(users, stored.model, ("user_id", "gender"), block_tasks(run.spark)).persist()
    try:
        enough = known.where(F.col("known_items") >= run.config.gender.min_items)
        asked = enough if run.config.gender.all_users else enough.where("gender IS NULL")
        rows = prediction_rows(asked, stored.model.labels, run.config.gender.confidence)
        rows = rows.withColumn("model_version", F.lit(version))
        run.tables.replace(TABLE, rows, "model_version", version, fingerprint=fingerprint)
        return _left_out(run, known, enough)
    finally:
        known.unpersist()


def prediction_rows(predicted: DataFrame, labels: tuple[str, ...], confidence: float) -> DataFrame:
    """(user_id, gender, probability, probabilities, known_items): gender is null below the confidence limit; of equal
    probabilities the first label counts.
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


def _left_out(run: JobRun, known: DataFrame, enough: DataFrame) -> dict[str, int]:
    """Counts that add up, with the predictions, to all users of the index."""
    everybody = run.tables.read("user_index").where("user_id IS NOT NULL")
    allowed = without_suppressed(run, everybody).count()
    with_plays, with_enough = known.count(), enough.count()
    stated = 0 if run.config.gender.all_users else enough.where("gender IS NOT NULL").count()
    return {
        "suppressed": everybody.count() - allowed,
        "without_plays": allowed - with_plays,
        "too_few_known_items": with_plays - with_enough,
        "stated": stated,
    }


def _fingerprint(run: JobRun) -> str:
    settings = run.config.gender
    versions = list(data_versions(run).values())
    return f"{settings.min_items} {settings.confidence} {settings.all_users} {versions}"
