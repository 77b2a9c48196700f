"""What to generate: the settings a user gives, and the plan that they and a seed amount to.

A plan fixes the content completely. Users are cut into files of a fixed number of users, never into
as many as there are cores, so that no figure depends on where or how wide the work ran.
"""

from dataclasses import dataclass, replace
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recsys_spark.core.errors import ConfigError

__all__ = ["SampleFormat", "SamplePlan", "SampleSettings"]

SampleFormat = Literal["sample", "lastfm_360k", "anime"]


@dataclass(frozen=True)
class Size:
    """The full size of a format, and how uneven its users are."""

    users: int
    items: int
    rows: int
    users_per_file: int
    spread: float
    most_rows_of_a_user: int


# The cap of `sample` stays below the days of a year: each evening of a user takes a day of its own.
SIZES: dict[SampleFormat, Size] = {
    "sample": Size(2_000, 1_500, 60_000, 500, spread=0.7, most_rows_of_a_user=300),
    "lastfm_360k": Size(359_347, 160_112, 17_559_530, 8_192, spread=0.6, most_rows_of_a_user=400),
    "anime": Size(69_600, 9_927, 7_813_737, 2_048, spread=1.0, most_rows_of_a_user=3_000),
}


@dataclass(frozen=True)
class SamplePlan:
    """Everything that the content of a generated folder depends on."""

    format: SampleFormat
    users: int
    items: int
    rows: int
    dirt_share: float
    users_per_file: int
    seed: int

    @property
    def files(self) -> int:
        """Number of blocks of users, each written to a file of its own."""
        return -(-self.users // self.users_per_file)

    @property
    def spread(self) -> float:
        """Standard deviation of the logarithm of a user's number of rows."""
        return SIZES[self.format].spread

    @property
    def most_rows_of_a_user(self) -> int:
        """Cap on a user's rows; of pairs half the items at most, so that distinct ones are always left."""
        most = SIZES[self.format].most_rows_of_a_user
        return most if self.format == "sample" else min(most, self.items // 2)

    @property
    def most_rows(self) -> int:
        """Cap on all rows: half the cap a user, as the long tail needs room above the mean."""
        return self.users * max(1, self.most_rows_of_a_user // 2)

    def users_of(self, block: int) -> range:
        """User numbers (from 0) of one block."""
        first = block * self.users_per_file
        return range(first, min(first + self.users_per_file, self.users))

    def share_of(self, total: int, block: int) -> int:
        """The part of `total` that falls to one block; the parts of all blocks sum to `total`."""
        users = self.users_of(block)
        return total * users.stop // self.users - total * users.start // self.users


class SampleSettings(BaseModel):
    """Settings of generate_sample; an unset size is the full size of the format."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
        description="Items to choose from; unset: the full size of the format.",
    )
    rows: int | None = Field(
        default=None,
        ge=1,
        description="Clean rows of plays, exactly; unset: as many a user as at full size, if items allow.",
    )
    dirt_share: float = Field(
        default=0.0,
        ge=0,
        le=0.5,
        description="Rows added beside the clean ones, as a share of them: broken, duplicated and late rows.",
    )
    users_per_file: int | None = Field(
        default=None,
        ge=1,
        le=20_000,
        description="Users whose plays share a file; unset: as suits the format.",
    )

    @model_validator(mode="after")
    def check_rows(self) -> Self:
        """Refuses numbers of rows that the users cannot have."""
        plan = self.plan(seed=0)
        if not plan.users <= plan.rows <= plan.most_rows:
            raise ValueError(
                f"{plan.rows} rows do not fit {plan.users} users and {plan.items} items of format"
                f" {plan.format}: choose rows from {plan.users} to {plan.most_rows}, or other users and items"
            )
        return self

    def plan(self, seed: int) -> SamplePlan:
        """The settings with every size filled in.

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
