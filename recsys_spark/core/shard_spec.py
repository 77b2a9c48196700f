"""What a network wants its shards to hold. Vocabulary only: the writing side and the training side both read it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["ShardSpec", "side_fields"]


@dataclass(frozen=True)
class ShardSpec:
    """How interactions become the rows of a sparse matrix.

    `rows`: one row a user (columns are items) or one row an item (columns are users). `values`: 1 for every pair
    (one), log(1 + plays) (confidence), or the rating, leaving out pairs that have none (rating). `order`: entries of
    a row by column number, or by time (missing times first; equal ones in an order of chance). `side`: what
    profiles say of a row's user that stands beside its entries: country, age_group, or keys of users.attributes.
    """

    rows: Literal["users", "items"] = "users"
    values: Literal["one", "confidence", "rating"] = "one"
    order: Literal["column", "time"] = "column"
    side: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, str | list[str]]:
        """For manifests and names; without `side` where there is none."""
        return {name: list(value) if name == "side" else value for name, value in asdict(self).items() if value}

    @classmethod
    def from_dict(cls, stated: Mapping[str, Any]) -> "ShardSpec":
        """From as_dict. Raises TypeError for other keys."""
        return cls(**{**stated, "side": tuple(stated.get("side", ()))})


def side_fields(settings: object) -> tuple[str, ...]:
    """The fields of profiles that the settings of a kind name (ShardSpec.side); none for kinds that take none."""
    fields: tuple[str, ...] = getattr(settings, "side_information", ())
    return fields
