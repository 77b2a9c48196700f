"""Settings of lists of similar items."""

from typing import Literal

from pydantic import Field

from recsys_spark.config.source import Section

__all__ = ["SimilaritySettings"]


class SimilaritySettings(Section):
    """Section `similarity`."""

    neighbours: int = Field(50, ge=1, le=10_000, description="Number of nearest items of each item.")
    method: Literal["vectors", "cosine", "bm25", "tf_idf", "random_walk"] = Field(
        "vectors",
        description="Similarity of two items: vectors (cosine of their vectors in the model of model.kind); or from the"
        " users that they share, as a version of kind item_knn: cosine (of binary rows), bm25 and tf_idf (cosine of"
        " weighted rows), random_walk (chance to come from the item to the other by way of a user, see"
        " popularity_exponent).",
    )
    shrinkage: float = Field(
        0.0,
        ge=0,
        description="Similarities from n shared users are multiplied by n / (n + shrinkage); not for method vectors.",
    )
    popularity_exponent: float = Field(
        0.4,
        ge=0,
        le=1,
        description="random_walk: the chance is divided by the users of the other item to this power: 0 lists popular"
        " items, 1 rare ones.",
    )

    @property
    def has_version(self) -> bool:
        """Return True if the lists are a model version of their own."""
        return self.method != "vectors"
