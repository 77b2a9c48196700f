"""Settings and names of the splits of interactions.

The code that splits is in preparation/, so that the configuration loads without Spark.
"""

import hashlib
import json
from datetime import datetime
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from recsys_spark import __version__
from recsys_spark.config.source import Section
from recsys_spark.core.errors import ConfigError

__all__ = ["RATING_PROTOCOLS", "Fit", "Protocol", "SplitSettings", "split_id"]

Protocol = Literal["rating_random", "rating_folds", "per_user_random", "strong_random", "strong_time", "time", "last_n"]

Fit = Literal["train", "train_and_validation", "everything"]

# These protocols hold out ratings to predict; the others hold out items to find.
RATING_PROTOCOLS = ("rating_random", "rating_folds")


class SplitSettings(Section):
    """Section `split`; the seed is run.seed."""

    protocol: Protocol | None = Field(
        default=None,
        description="Held-out data: rating_random (single ratings), rating_folds (one fold of ratings), per_user_random"
        " (a share of the pairs of each user), strong_random and strong_time (whole users; a share of their pairs"
        " is the fold-in, at random or the earliest), time (new pairs after a time), last_n (the last pairs of each"
        " user); unset: no split.",
    )
    min_rating: float | None = Field(default=None, description="Lower ratings, and pairs without one, are left out.")
    min_user_items: int = Field(default=1, ge=1, description="Users with fewer different items are left out.")
    min_item_users: int = Field(
        default=1,
        ge=1,
        description="Items with fewer different users are left out; with min_user_items above 1, both filters repeat"
        " until both hold.",
    )
    test_share: float = Field(
        default=0.1, gt=0, lt=1, description="rating_random, per_user_random, time: share held out for testing."
    )
    validation_share: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="rating_random, rating_folds, per_user_random, time: share held out for validation; last_n: above"
        " 0, as many pairs as for testing.",
    )
    folds: int = Field(default=5, ge=2, le=100, description="rating_folds: number of folds.")
    fold: int = Field(default=1, ge=1, description="rating_folds: the fold to test on.")
    folds_path: str | None = Field(
        default=None,
        description="rating_folds: folder with u1.test, u2.test, ... of MovieLens 100K; unset: random folds.",
    )
    test_from: datetime | None = Field(
        default=None, description="time: start of the test part (UTC); unset: from test_share of the plays."
    )
    last_n: int = Field(default=1, ge=1, description="last_n: pairs of each user held out for testing.")
    held_out_users: int = Field(
        default=750,
        ge=1,
        le=1_000_000,
        description="strong_*: number of validation users, and number of test users.",
    )
    fold_in_share: float = Field(
        default=0.8, gt=0, lt=1, description="strong_*: share of the pairs of a held-out user that is the fold-in."
    )
    min_held_out_user_items: int = Field(
        default=5, ge=2, description="strong_*: users with fewer different items are not held out."
    )

    @model_validator(mode="after")
    def _check_shares_and_fold(self) -> Self:
        if self.test_share + self.validation_share >= 1:
            raise ValueError("test_share and validation_share must add up to less than 1")
        if self.fold > self.folds:
            raise ValueError(f"fold {self.fold} is not one of {self.folds} folds")
        return self


def protocol_of(settings: SplitSettings) -> Protocol:
    """Return the protocol of a split; raise ConfigError where none is set."""
    if settings.protocol is None:
        raise ConfigError(f"split.protocol is not set: set it to one of {', '.join(get_args(Protocol))}")
    return settings.protocol


def split_id(settings: SplitSettings, seed: int, data_key: int | str) -> str:
    """Return the name of the split of the interactions that a key stands for.

    The name is the protocol and a hash of all parameters of the split.
    """
    parts = (settings.model_dump(mode="json"), seed, data_key, __version__)
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{settings.protocol}-{digest[:12]}"
