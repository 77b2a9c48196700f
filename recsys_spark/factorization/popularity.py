"""What most people play: the baseline that any model must beat, and the list for users of whom nothing is
known.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

__all__ = ["PopularitySettings", "popularity_scores"]


class PopularitySettings(BaseModel):
    """Settings of the popularity baseline."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: Literal["users", "plays"] = Field(
        default="users",
        description="What makes an item popular: users who played it (one user cannot push it up), or plays.",
    )


def popularity_scores(interactions: DataFrame, settings: PopularitySettings) -> DataFrame:
    """(item_idx INT, score DOUBLE): the number of different users who played the item, or of its plays.

    `interactions` has (user_idx, item_idx, play_count), one row a pair; items nobody played have no row.
    """
    score = F.count(F.lit(1)) if settings.count == "users" else F.sum("play_count")
    return interactions.groupBy("item_idx").agg(score.cast("double").alias("score"))
