"""Settings of generated samples, and the plan that settings and seed determine.

A plan determines the content completely. Files have a fixed number of users, independent of the number of cores, so
that the content does not depend on the machine.
"""

from dataclasses import dataclass, replace
from typing import Literal, Self

from pydantic import Field, model_validator

from recsys_spark.config.source import Section
from recsys_spark.core.errors import ConfigError

__all__ = ["SampleFormat", "SamplePlan", "SampleSettings"]

SampleFormat = Literal["sample", "lastfm_360k", "anime"]


@dataclass(frozen=True)
class Size:
    """Full size of a format and spread of its users."""

    users: int
    items: int
    rows: int
    users_per_file: int
    spread: float
    most_rows_of_a_user: int


# The cap of `sample` is below the days of a year, because each evening of a user takes a separate day.
SIZES: dict[SampleFormat, Size] = {
    "sample": Size(2_000, 1_500, 60_000, 500, spread=0.7, most_rows_of_a_user=300),
    "lastfm_360k": Size(359_347, 160_112, 17_559_530, 8_192, spread=0.6, most_rows_of_a_user=400),
    "anime": Size(69_600, 9_927, 7_813_737, 2_048, spread=1.0, most_rows_of_a_user=3_000),
}


@dataclass(frozen=True)
class SamplePlan:
    """All parameters of the content of a generated folder."""

    format: SampleFormat
    users: int
    items: int
    rows: int
    dirt_share: float
    users_per_file: int
    seed: int

    @property
    def files(self) -> int:
        """Return the number of blocks of users; each block is one file."""
        return -(-self.users // self.users_per_file)

    @property
    def spread(self) -> float:
        """Return the standard deviation of the logarithm of a user's number of rows."""
        return SIZES[self.format].spread

    @property
    def most_rows_of_a_user(self) -> int:
        """Return the cap on the rows of a user.

        Formats of distinct pairs are limited to half of the items, so that distinct items are always left.
        """
        most = SIZES[self.format].most_rows_of_a_user
        return most if self.format == "sample" else min(most, self.items // 2)

    @property
    def most_rows(self) -> int:
        """Return the cap on all rows.

        It is half the cap of each user, because the long tail needs room above the mean.
        """
        return self.users * max(1, self.most_rows_of_a_user // 2)

    def users_of(self, block: int) -> range:
        """Return the user numbers (from 0) of one block."""
        first = block * self.users_per_file
        return range(first, min(first + self.users_per_file, self.users))

    def share_of(self, total: int, block: int) -> int:
        """Return the part of `total` for one block; the parts of all blocks sum to `total`."""
        users = self.users_of(block)
        return total * users.stop // self.users - total * users.start // self.users


class SampleSettings(Section):
    """Section `sample`; an unset size is the full size of the format."""

    format: SampleFormat = Field(
        default="sample",
        description="sample (timed karaoke plays), lastfm_360k (play totals) or anime (ratings).",
    )
    users: int | None = Field(
        default=None, ge=1, le=100_000_000, description="Users; unset: the full size of the format."
    )
    items: int | None = Field(
        default=None,
        ge=50,
        le=2_000_000,
        description="Items; unset: the full size of the format.",
    )
    rows: int | None = Field(
        default=None,
        ge=1,
        description="Exact number of clean rows; unset: as many per user as at full size, if the items allow.",
    )
    dirt_share: float = Field(
        default=0.0,
        ge=0,
        le=0.5,
        description="Additional broken, duplicated and late rows, as a share of the clean rows.",
    )
    users_per_file: int | None = Field(
        default=None,
        ge=1,
        le=20_000,
        description="Users per file; unset: the default of the format.",
    )

    @model_validator(mode="after")
    def check_rows(self) -> Self:
        """Check that the number of rows fits the users and items."""
        plan = self.plan(seed=0)
        if not plan.users <= plan.rows <= plan.most_rows:
            raise ValueError(
                f"{plan.rows} rows do not fit {plan.users} users and {plan.items} items of format"
                f" {plan.format}: choose rows from {plan.users} to {plan.most_rows}, or other users and items"
            )
        return self

    def plan(self, seed: int) -> SamplePlan:
        """Return the plan of these settings, with the sizes of the format as defaults.

        Raises ConfigError for a negative seed.
        """
        if seed < 0:
            raise ConfigError(f"run.seed is {seed}: choose 0 or more")
        full = SIZES[self.format]
        users = self.users or full.users
        plan = SamplePlan(
            format=self.format,
            users=users,
            items=self.items or full.items,
            rows=self.rows or round(full.rows * users / full.users),
            dirt_share=self.dirt_share,
            users_per_file=self.users_per_file or full.users_per_file,
            seed=seed,
        )
        return plan if self.rows else replace(plan, rows=min(plan.rows, plan.most_rows))
