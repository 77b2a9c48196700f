"""Settings of the item map."""

from pydantic import Field

from recsys_spark.config.source import Section

__all__ = ["MapSettings"]


class MapSettings(Section):
    """Section `map`."""

    path: str | None = Field(
        None, description="HTML file that build_item_map writes; unset: maps/VERSION.html below files.root."
    )
    max_items: int = Field(
        20_000,
        ge=1,
        le=100_000,
        description="Maximum number of items on the map; the most played are taken. The driver holds them.",
    )
    neighbours: int = Field(
        10, ge=1, le=50, description="Maximum number of neighbours that the map lists for each item."
    )
    colour: str | None = Field(
        None,
        min_length=1,
        description="Item attribute that sets the colours (several values separated by |, comma or semicolon), or"
        " clusters; unset: genres if the items have them, else clusters.",
    )
    clusters: int = Field(
        8,
        ge=1,
        le=20,
        description="Number of clusters of vectors, if clusters set the colours; all but the eight largest are grey.",
    )
