"""What a split gives of the users that models are judged on, and what is to be found."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

__all__ = ["FED", "FOUND", "MASKED", "judged_pairs"]

# What a model is given, what it is not given but may not be listed either, and what is to be found.
FED, MASKED, FOUND = 0, 1, 2

ROLES = {
    "validation": {"train": FED, "fold_in": FED, "validation": FOUND, "held_out_validation": FOUND},
    "test": {"train": FED, "fold_in": FED, "validation": MASKED, "test": FOUND, "held_out_test": FOUND},
}


def judged_pairs(split: DataFrame, part: str) -> DataFrame:
    """role INT (FED, MASKED, FOUND), user_idx, item_idx, play_count, rating, last_played_at of the users of part
    "validation" or "test" who have anything to be found; `split` has the rows of one split_id.

    Models are fed what they were trained on or, of held-out users, the fold-in pairs. Validation pairs of a user
    judged on the test are masked: no model is to find them, and only one that was trained on them is fed them.
    """
    role = F.coalesce(*[F.when(F.col("part") == name, F.lit(value)) for name, value in ROLES[part].items()])
    pairs = split.withColumn("role", role).where("role IS NOT NULL")
    users = pairs.where(F.col("role") == FOUND).select("user_idx").distinct()
    return pairs.join(users, on="user_idx", how="left_semi").select(
        "role", "user_idx", "item_idx", "play_count", "rating", "last_played_at"
    )
