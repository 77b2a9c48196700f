"""The groups of users that a prediction is judged on: by how much is known of them, and by age."""

from pyspark.sql import Column
from pyspark.sql import functions as F

__all__ = ["slices_of"]

KNOWN = ((1, 1), (2, 5), (6, 10), (11, 20), (21, 50), (51, None))
AGES = ((None, 17), (18, 24), (25, 34), (35, 44), (45, 54), (55, None))


def slices_of(known_items: str, age: str) -> Column:
    """ARRAY<STRING>: `all`, one such as known_items=2-5, and where the age is known one such as age=18-24."""
    known = _place("known_items", F.col(known_items), KNOWN)
    by_age = _place("age", F.col(age), AGES)
    return F.array_compact(F.array(F.lit("all"), known, by_age))


def _place(name: str, value: Column, bounds: tuple[tuple[int | None, int | None], ...]) -> Column:
    found = F.lit(None).cast("string")
    for low, high in reversed(bounds):
        inside = (F.lit(True) if low is None else value >= low) & (F.lit(True) if high is None else value <= high)
        # "-17", "18-24", "55-", and "1" for a single number.
        span = (
            str(low)
            if low is not None and low == high
            else f"{'' if low is None else low}-{'' if high is None else high}"
        )
        found = F.when(inside, F.lit(f"{name}={span}")).otherwise(found)
    return found
