"""Settings of the kind `popularity`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["PopularitySettings"]


class PopularitySettings(BaseModel):
    """Settings of the popularity baseline."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: Literal["users", "plays"] = Field(
        default="users",
        description="Score of an item: users who played it (one user counts once), or plays.",
    )
