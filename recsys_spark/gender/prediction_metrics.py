"""The groups of users that a prediction is judged on: by how much is known of them, and by age."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from recsys_spark.preparation.age_groups import AGES, Bounds, band_of

__all__ = ["user_slices"]

KNOWN: Bounds = ((1, 1), (2, 5), (6, 10), (11, 20), (21, 50), (51, None))


def user_slices(known_items: str, age: str) -> Column:
    """ARRAY<STRING>: `all`, one such as known_items=2-5, and where the age is known one such as age=18-24."""
    known = _named("known_items", band_of(F.col(known_items), KNOWN))
    by_age = _named("age", band_of(F.col(age), AGES))
    return F.array_compact(F.array(F.lit("all"), known, by_age))


def _named(name: str, band: Column) -> Column:
    # Nothing where there is no band: text joined with null is null.
    return F.concat(F.lit(f"{name}="), band)
