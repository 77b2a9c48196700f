"""How interactions are split for evaluation: the settings, and the name that they and the data amount to.

Apart from the code that splits, so that the configuration can know the settings without Spark.
"""

import hashlib
import json
from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recsys_spark import __version__

__all__ = ["RATING_PROTOCOLS", "Fit", "Protocol", "SplitSettings", "split_id"]

Protocol = Literal["rating_random", "rating_folds", "per_user_random", "strong_random", "strong_time", "time", "last_n"]

Fit = Literal["train", "train_and_validation", "everything"]

# Those that hold out ratings to be predicted; the others hold out items to be found.
RATING_PROTOCOLS = ("rating_random", "rating_folds")


class SplitSettings(BaseModel):
    """Which pairs take part, and how they are parted; the seed is run.seed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: Protocol | None = Field(
        default=None,
        description="rating_random (single ratings are held out), rating_folds (one fold of them), per_user_random (a"
        " share of each user's pairs), strong_random and strong_time (whole users; the first share of their history"
        " is given, at random or by time), time (what is new after a moment), last_n (each user's last pairs); unset:"
        " no split.",
    )
    min_rating: float | None = Field(default=None, description="Lower ratings, and pairs without one, are left out.")
    min_user_items: int = Field(default=1, ge=1, description="Users with fewer different items are left out.")
    min_item_users: int = Field(
        default=1,
        ge=1,
        description="Items with fewer different users are left out; with min_user_items above 1, again and again"
        " until both hold.",
    )
    test_share: float = Field(
        default=0.1, gt=0, lt=1, description="rating_random, per_user_random, time: share held out for testing."
    )
    validation_share: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="rating_random, rating_folds, per_user_random, time: share held out for choosing settings; last_n:"
        " above 0, as many pairs as for testing.",
    )
    folds: int = Field(default=5, ge=2, le=100, description="rating_folds: number of folds.")
    fold: int = Field(default=1, ge=1, description="rating_folds: the fold to test on.")
    folds_path: str | None = Field(
        default=None,
        description="rating_folds: folder with u1.test, u2.test, ... as MovieLens 100K gives them; unset: by chance.",
    )
    test_from: datetime | None = Field(
        default=None, description="time: the first moment of the test part (UTC); unset: by test_share of the plays."
    )
    last_n: int = Field(default=1, ge=1, description="last_n: pairs of each user held out for testing.")
    held_out_users: int = Field(
        default=750,
        ge=1,
        le=1_000_000,
        description="strong_*: number of validation users, and again as many test users.",
    )
    fold_in_share: float = Field(
        default=0.8, gt=0, lt=1, description="strong_*: share of a held-out user's pairs that models are given."
    )
    min_held_out_user_items: int = Field(
        default=5, ge=2, description="strong_*: users with fewer different items are not held out."
    )

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Self:
        if self.test_share + self.validation_share >= 1:
            raise ValueError("test_share and validation_share must add up to less than 1")
        if self.fold > self.folds:
            raise ValueError(f"fold {self.fold} is not one of {self.folds} folds")
        return self


def split_id(settings: SplitSettings, seed: int, data_version: int) -> str:
    """protocol-hash of everything that determines the split of one version of interactions."""
    parts = (settings.model_dump(mode="json"), seed, data_version, __version__)
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{settings.protocol}-{digest[:12]}"
