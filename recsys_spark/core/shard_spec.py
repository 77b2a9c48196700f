"""Specification of the shards of a network, shared by the writer and the training."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["ShardSpec", "side_fields"]


@dataclass(frozen=True)
class ShardSpec:
    """Layout of interactions as rows of a sparse matrix.

    `rows`: one row per user (columns are items) or one row per item (columns are users). `values`: 1 for every pair
    (one), log(1 + plays) (confidence), or the rating, without the pairs that have none (rating). `order`: entries of
    a row by column number, or by time (missing times first, equal times in random order). `side`: fields of the
    user profile that are stored beside the entries of a row: country, age_group, or keys of users.attributes.
    """

    rows: Literal["users", "items"] = "users"
    values: Literal["one", "confidence", "rating"] = "one"
    order: Literal["column", "time"] = "column"
    side: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, str | list[str]]:
        """Return the fields for manifests and names; an empty `side` is omitted."""
        return {name: list(value) if name == "side" else value for name, value in asdict(self).items() if value}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "ShardSpec":
        """Build a specification from the result of as_dict.

        Raises TypeError for other keys.
        """
        return cls(**{**fields, "side": tuple(fields.get("side", ()))})


def side_fields(settings: object) -> tuple[str, ...]:
    """Return the profile fields that the settings of a kind name (ShardSpec.side), if any."""
    fields: tuple[str, ...] = getattr(settings, "side_information", ())
    return fields
