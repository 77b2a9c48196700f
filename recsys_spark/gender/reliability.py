"""Reliability curve and expected calibration error of predicted probabilities."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.gender.label_metrics import BINS

__all__ = ["Bin", "Reliability", "reliability", "reliability_of_arrays"]


class Bin(NamedTuple):
    """One tenth of the likelier label's probability: its mean, the accuracy, the users."""

    probability: float
    accuracy: float
    users: int


class Reliability(NamedTuple):
    """Reliability curve with its expected calibration error.

    `ece` is the mean of |probability - accuracy| over the bins, weighted by users (Guo et al. 2017).
    """

    ece: float
    curve: tuple[Bin, ...]


def reliability(predicted: DataFrame) -> Reliability:
    """Return the reliability of predictions (label DOUBLE, probability VECTOR).

    The driver gets ten rows.
    """
    each = F.col("probabilities")
    best = F.array_max(each)
    right = (F.array_position(each, best) - 1 == F.col("label")).cast("double")
    place = F.least(F.floor(best * BINS), F.lit(BINS - 1))
    rows = (
        predicted.select("label", vector_to_array(F.col("probability")).alias("probabilities"))
        .groupBy(place.alias("bin"))
        .agg(F.mean(best).alias("probability"), F.mean(right).alias("accuracy"), F.count(F.lit(1)).alias("users"))
        .orderBy("bin")
        .collect()
    )
    return _of_curve(tuple(Bin(row["probability"], row["accuracy"], row["users"]) for row in rows))


def reliability_of_arrays(labels: NDArray[np.intp], probabilities: NDArray[np.float64]) -> Reliability:
    """Return the reliability of predictions: labels (n,), probabilities (n, classes)."""
    best, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    place = np.minimum((best * BINS).astype(int), BINS - 1)
    inside = [place == bin_ for bin_ in np.unique(place)]
    return _of_curve(tuple(Bin(float(best[at].mean()), float(right[at].mean()), int(at.sum())) for at in inside))


def _of_curve(curve: tuple[Bin, ...]) -> Reliability:
    total = max(1, sum(bin_.users for bin_ in curve))
    return Reliability(sum(abs(b.probability - b.accuracy) * b.users for b in curve) / total, curve)
