"""Metrics of predicted genders over all users and by slice."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.evaluation.metric_values import MetricValue
from recsys_spark.gender.confidence_limits import LIMIT_METRICS
from recsys_spark.gender.label_metrics import LABEL_METRICS
from recsys_spark.metrics.bootstrap import percentile_interval, user_weights
from recsys_spark.metrics.slices import PREDICTION_BOUNDS, slices_by_bound
from recsys_spark.preparation.age_groups import age_group

__all__ = ["prediction_metrics"]

SCHEMA = "slice STRING, metric STRING, value DOUBLE, ci_low DOUBLE, ci_high DOUBLE, users BIGINT"
# With more users intervals are too narrow to be worth the memory of their draws.
MAX_DRAWN_USERS = 100_000


def prediction_metrics(predicted: DataFrame, version: str, draws: int, seed: int) -> Iterator[MetricValue]:
    """Yield the metrics of predictions over all users and by slice.

    Metrics over all users have intervals. A task holds the labels and probabilities of one slice; the driver gets a row
    a slice and metric.
    """
    sliced = predicted.withColumn("slice", F.explode(_user_slices("known_items", "age")))
    rows = sliced.select("slice", "user_idx", "label", "probabilities").groupBy("slice")
    for row in rows.applyInArrow(partial(_slice_metrics, draws, seed), SCHEMA).collect():
        yield MetricValue(
            version, row["metric"], row["slice"], row["value"], row["ci_low"], row["ci_high"], row["users"]
        )


def _slice_metrics(draws: int, seed: int, rows: pa.Table) -> pa.Table:
    name = rows["slice"][0].as_py()
    labels = rows["label"].to_numpy().astype(np.int64)
    # Sorted, so that sums are rounded the same way whatever the order of the rows.
    user_idx = rows["user_idx"].to_numpy()
    order = np.argsort(user_idx)
    lists = rows["probabilities"].combine_chunks().flatten().to_numpy().reshape(labels.size, -1)
    labels, chances, user_idx = labels[order], lists[order], user_idx[order]
    drawn = draws if name == "all" and labels.size <= MAX_DRAWN_USERS else 0
    weights = user_weights(user_idx, drawn, seed)
    found = []
    for metric, measure in {**LABEL_METRICS, **(LIMIT_METRICS if name == "all" else {})}.items():
        values = np.array([measure(labels, chances, column) for column in weights.T])
        if not np.isnan(values[0]):
            low, high = percentile_interval(values[1:]) if drawn else (None, None)
            found.append((name, metric, float(values[0]), low, high, labels.size))
    columns = list(zip(*found, strict=True)) if found else [()] * 6
    types = (pa.string(), pa.string(), pa.float64(), pa.float64(), pa.float64(), pa.int64())
    names = ("slice", "metric", "value", "ci_low", "ci_high", "users")
    return pa.table({n: pa.array(column, kind) for n, column, kind in zip(names, columns, types, strict=True)})


def _user_slices(known_items: str, age: str) -> Column:
    """Return the slices of a user ARRAY<STRING>.

    `all`, one such as known_items=2-5, and for users with an age one such as age=18-24.
    """
    by_items = F.lit(None).cast("string")
    for first, name in slices_by_bound(PREDICTION_BOUNDS).items():
        by_items = F.when(F.col(known_items) >= first, name).otherwise(by_items)
    # Null without an age: text concatenated with null is null.
    by_age = F.concat(F.lit("age="), age_group(F.col(age)))
    return F.array_compact(F.array(F.lit("all"), by_items, by_age))
