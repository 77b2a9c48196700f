"""Choice between the two ways to fit a classifier, by the size of its features."""

from pyspark.sql import DataFrame

from recsys_spark.config.gender import GenderSettings
from recsys_spark.gender.array_fit import fit_on_arrays, read_training_rows
from recsys_spark.gender.classifier import Classifier
from recsys_spark.gender.feature_arrays import Features
from recsys_spark.gender.features import feature_frame, feature_numbers
from recsys_spark.gender.mllib_fit import fit_with_mllib
from recsys_spark.runtime.spark_context import parallelism

__all__ = ["fit_classifier"]

# An index and a value.
BYTES_PER_NUMBER = 12


def fit_classifier(
    users: DataFrame, labels: tuple[str, ...], features: Features, settings: GenderSettings
) -> Classifier:
    """Fit labelled users with their inner folds (see assign_folds): small data on the driver, large on executors.

    The driver gets at most gender.max_driver_bytes.
    """
    if feature_numbers(users, features) * BYTES_PER_NUMBER <= settings.max_driver_bytes:
        rows = read_training_rows(feature_frame(users, features, as_vectors=False), features.width)
        return fit_on_arrays(rows, labels, settings)
    # Few large tasks, as an iteration takes milliseconds on each.
    return fit_with_mllib(feature_frame(users, features).coalesce(parallelism(users.sparkSession)), labels, settings)
