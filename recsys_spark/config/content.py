"""Settings of item vectors predicted from attributes and names."""

from pydantic import Field

from recsys_spark.config.source import Section

__all__ = ["ContentSettings"]


class ContentSettings(Section):
    """Section `content`."""

    enabled: bool = Field(
        False,
        description="Predict the vectors of items without a vector in the model from their attributes and the words of"
        " their names, so that they have neighbours and can be recommended (origin content). build_interactions then"
        " also indexes items without plays.",
    )
    max_features: int = Field(
        5_000,
        ge=1,
        le=10_000,
        description="Maximum number of attribute values and words to learn from; the most frequent are taken. The"
        " driver and a task each hold a square matrix of this size, 8 bytes an entry.",
    )
    min_items: int = Field(5, ge=1, description="Attribute values and words of fewer items with a vector are left out.")
    reg_param: float = Field(
        3.0, gt=0, description="Ridge penalty; larger values move predicted vectors towards the mean item vector."
    )
    min_plays: int = Field(
        1,
        ge=1,
        description="Items with fewer plays count as new: they are left out of the fit, and predicted vectors replace"
        " their own.",
    )
