"""Settings of recommendations."""

from typing import Literal

from pydantic import Field

from recsys_spark.config.source import Section

__all__ = ["PopularBy", "RecommendationsSettings"]

PopularBy = Literal["country", "age_group"]


class RecommendationsSettings(Section):
    """Section `recommendations`."""

    top_k: int = Field(20, ge=1, le=10_000, description="Items recommended to each user.")
    filter_seen: bool = Field(True, description="Leave out items that the user has played.")
    allow_file: str | None = Field(
        None, description="Text file with one item_id a line; only these items are recommended."
    )
    deny_file: str | None = Field(
        None, description="Text file with one item_id a line; these items are never recommended."
    )
    popular_by: tuple[PopularBy, ...] = Field(
        ("country", "age_group"),
        description="Groups of the popular lists, for users without recommendations from the model: users of the same"
        " country and age group, else of the same country, else of the same age group; the first group that is large"
        " enough is taken. Empty: one list for all users.",
    )
    popular_min_users: int = Field(
        50, ge=1, description="Minimum number of users with plays of a group with a popular list of its own."
    )
    popular_max_groups: int = Field(
        200,
        ge=1,
        le=2_000,
        description="Maximum number of groups with a popular list; the largest are taken, within the memory limit of"
        " outputs.max_item_matrix_bytes.",
    )
