"""Settings of networks with side information."""

from pydantic import Field

from recsys_spark.networks.settings.network import NetworkSettings

__all__ = ["SideSettings"]


class SideSettings(NetworkSettings):
    """Settings of networks with side information."""

    side_information: tuple[str, ...] = Field(
        default=(), description="Profile features added to user codes: country, age_group, or keys of users.attributes."
    )
