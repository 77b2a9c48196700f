"""Settings of lists of recommendations."""

from typing import Literal

from pydantic import Field

from recsys_spark.config.source import Section

__all__ = ["PopularBy", "RecommendationsSettings"]

PopularBy = Literal["country", "age_group"]


class RecommendationsSettings(Section):
    top_k: int = Field(20, ge=1, le=10_000, description="Items recommended to each user.")
    filter_seen: bool = Field(True, description="Leave out items that the user has played.")
    allow_file: str | None = Field(None, description="Text file with an item_id a line: nothing else is recommended.")
    deny_file: str | None = Field(None, description="Text file with an item_id a line: never recommended.")
    popular_by: tuple[PopularBy, ...] = Field(
        ("country", "age_group"),
        description="Whom the model cannot serve gets what is popular among users of the same country and age group,"
        " of the same country, or of the same age group: the first that is known and large enough. Empty: one list"
        " for all.",
    )
    popular_min_users: int = Field(
        50, ge=1, description="Users with plays that a country or age group needs for a popular list of its own."
    )
    popular_max_groups: int = Field(
        200,
        ge=1,
        le=2_000,
        description="Groups with a list of their own at most, the largest ones; fewer where outputs."
        "max_item_matrix_bytes has no room for a number each an item.",
    )
