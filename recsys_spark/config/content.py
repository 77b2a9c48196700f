"""Settings of predicting vectors of items from what is said of them."""

from pydantic import Field

from recsys_spark.config.source import Section

__all__ = ["ContentSettings"]


class ContentSettings(Section):
    enabled: bool = Field(
        False,
        description="Predict vectors of items that a model has none of from attributes and words of the name, so that"
        " they have neighbours and can be recommended (origin content). build_interactions then also numbers items"
        " that nobody has played.",
    )
    max_features: int = Field(
        5_000,
        ge=1,
        le=10_000,
        description="Attribute values and words to learn from at most, the most frequent ones. The driver and a task"
        " hold the square of it, 8 bytes each.",
    )
    min_items: int = Field(
        5, ge=1, description="An attribute value or word that fewer items with a vector have is left out."
    )
    reg_param: float = Field(
        3.0, gt=0, description="Ridge penalty: the larger, the nearer predicted vectors are to the mean item's."
    )
    min_plays: int = Field(
        1,
        ge=1,
        description="Items with fewer plays count as new: nothing is learnt from their vectors, and predicted ones"
        " take their place.",
    )
