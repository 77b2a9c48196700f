"""Slices of users for metrics of predictions, by number of known items and by age."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from recsys_spark.metrics.slices import PREDICTION_BOUNDS, slices_by_bound
from recsys_spark.preparation.age_groups import age_group

__all__ = ["user_slices"]


def user_slices(known_items: str, age: str) -> Column:
    """Return the slices of a user ARRAY<STRING>.

    `all`, one such as known_items=2-5, and for users with an age one such as age=18-24.
    """
    by_items = F.lit(None).cast("string")
    for first, name in slices_by_bound(PREDICTION_BOUNDS).items():
        by_items = F.when(F.col(known_items) >= first, name).otherwise(by_items)
    # Null without an age: text concatenated with null is null.
    by_age = F.concat(F.lit("age="), age_group(F.col(age)))
    return F.array_compact(F.array(F.lit("all"), by_items, by_age))
