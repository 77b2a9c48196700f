"""Age groups, named after their bounds."""

from pyspark.sql import Column
from pyspark.sql import functions as F

__all__ = ["age_group"]

# The smallest and the largest age of each group; None where the group is open.
AGE_GROUPS = ((None, 17), (18, 24), (25, 34), (35, 44), (45, 54), (55, None))


def age_group(age: Column) -> Column:
    """Return the age group STRING of an age: `-17`, `18-24`, ..., `55-`; null without an age."""
    name = F.lit(None).cast("string")
    for low, high in reversed(AGE_GROUPS):
        inside = (F.lit(True) if low is None else age >= low) & (F.lit(True) if high is None else age <= high)
        name = F.when(inside, F.lit(f"{'' if low is None else low}-{'' if high is None else high}")).otherwise(name)
    return name
