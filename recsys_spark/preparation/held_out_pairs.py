"""Held-out pairs of a split, with the pairs that a model receives as input."""

from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.preparation.splits import PAIR_COLUMNS

__all__ = ["INPUT", "MASKED", "TARGET", "HeldOut", "evaluation_pairs", "held_out_pairs"]

# A model receives INPUT pairs and is to rank TARGET pairs high; MASKED pairs are neither, and are left out of lists.
INPUT, MASKED, TARGET = 0, 1, 2

ROLES = {
    "validation": {"train": INPUT, "fold_in": INPUT, "validation": TARGET, "held_out_validation": TARGET},
    "test": {"train": INPUT, "fold_in": INPUT, "validation": MASKED, "test": TARGET, "held_out_test": TARGET},
}


class HeldOut(NamedTuple):
    """Input and held-out pairs of the users of a part, both (user_idx, item_idx, ...)."""

    fold_in: DataFrame
    held_out: DataFrame


def held_out_pairs(split: DataFrame, part: str) -> HeldOut:
    """Return input and held-out pairs of part "validation" or "test".

    `split` has the rows of one split_id. Only users with held-out pairs occur. Their input is the fold-in pairs of
    held-out users; of other users it is the pairs of training and, for the test, of validation.
    """
    roles = ROLES[part]
    held_out = _pairs_of_parts(split, [name for name, role in roles.items() if role == TARGET])
    users = held_out.select("user_idx").distinct()
    others = _pairs_of_parts(split, [name for name, role in roles.items() if role != TARGET])
    return HeldOut(others.join(users, on="user_idx", how="left_semi"), held_out)


def evaluation_pairs(split: DataFrame, part: str) -> DataFrame:
    """Return the pairs with roles to evaluate models on in "validation" or "test".

    Columns: role INT (INPUT, MASKED, TARGET), user_idx, item_idx, play_count, rating, last_played_at. `split` has the
    rows of one split_id; only users with TARGET pairs occur. INPUT pairs are those of training or, of held-out users,
    the fold-in pairs. Validation pairs are MASKED in the test: no model is to rank them, and only a model that was
    trained on them receives them as input.
    """
    role = F.coalesce(*[F.when(F.col("part") == name, F.lit(value)) for name, value in ROLES[part].items()])
    pairs = split.withColumn("role", role).where("role IS NOT NULL")
    users = pairs.where(F.col("role") == TARGET).select("user_idx").distinct()
    return pairs.join(users, on="user_idx", how="left_semi").select("role", *PAIR_COLUMNS)


def _pairs_of_parts(split: DataFrame, parts: list[str]) -> DataFrame:
    return split.where(F.col("part").isin(*parts)).select(*PAIR_COLUMNS)
