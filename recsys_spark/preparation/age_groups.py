"""Numbers in bands, named after their bounds: ages, and how much is known."""

from pyspark.sql import Column
from pyspark.sql import functions as F

__all__ = ["AGES", "Bounds", "band_of"]

# The smallest and largest number of each band; None where it is open.
Bounds = tuple[tuple[int | None, int | None], ...]

AGES: Bounds = ((None, 17), (18, 24), (25, 34), (35, 44), (45, 54), (55, None))


def band_of(value: Column, bounds: Bounds) -> Column:
    """`-17`, `18-24`, `55-`, and `1` for a band of one number; null where the value is null or in none."""
    found = F.lit(None).cast("string")
    for low, high in reversed(bounds):
        inside = (F.lit(True) if low is None else value >= low) & (F.lit(True) if high is None else value <= high)
        span = (
            str(low)
            if low is not None and low == high
            else f"{'' if low is None else low}-{'' if high is None else high}"
        )
        found = F.when(inside, F.lit(span)).otherwise(found)
    return found
