"""Settings of the map of items."""

from pydantic import Field

from recsys_spark.config.source import Section

__all__ = ["MapSettings"]


class MapSettings(Section):
    path: str | None = Field(
        None, description="HTML file that build_item_map writes; unset: maps/VERSION.html below files.root."
    )
    max_items: int = Field(
        20_000, ge=1, le=100_000, description="Items on the map at most: the most played ones. The driver holds them."
    )
    neighbours: int = Field(10, ge=1, le=50, description="Neighbours on the map that each item shows at most.")
    colour: str | None = Field(
        None,
        min_length=1,
        description="Attribute of items that colours them (several values parted by |, comma or semicolon), or"
        " clusters; unset: genres where the items have them, else clusters.",
    )
    clusters: int = Field(12, ge=1, le=20, description="Clusters of vectors, where these colour the items.")
