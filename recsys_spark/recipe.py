"""What a network wants its shards to hold. Vocabulary only: the writing side and the training side both read it."""

from dataclasses import asdict, dataclass
from typing import Literal

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """How interactions become the rows of a sparse matrix.

    `rows`: one row a user (columns are items) or one row an item (columns are users). `values`: 1 for every pair
    (one), log(1 + plays) (confidence), or the rating, leaving out pairs that have none (rating). `order`: entries of
    a row by column number, or by time (ties and missing times by column number, missing ones first).
    """

    rows: Literal["users", "items"] = "users"
    values: Literal["one", "confidence", "rating"] = "one"
    order: Literal["column", "time"] = "column"

    def as_dict(self) -> dict[str, str]:
        """For manifests and names."""
        return asdict(self)
