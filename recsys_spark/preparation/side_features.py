"""Side features: fields of user profiles as numbers beside the rows of shards.

Rare values are left out: a network cannot learn from them, and they may identify a user.
"""

from dataclasses import dataclass
from functools import cached_property

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.preparation.age_groups import age_group
from recsys_spark.storage.shard_format import SIDE
from recsys_spark.storage.tables import Tables

__all__ = ["MAX_VALUES", "MIN_USERS", "SideFeatures", "read_side_features"]

MIN_USERS = 5
# Limit for all fields together; fields with more values are not categorical.
MAX_VALUES = 10_000
MAX_LENGTH = 100


@dataclass(frozen=True)
class SideFeatures:
    """Profiles of users and the fields to take from them (`ShardSpec.side`).

    `users`: (row_idx INT, country STRING, age INT, attributes MAP) of users with an index.
    """

    users: DataFrame
    fields: tuple[str, ...]

    @cached_property
    def vocabulary(self) -> list[tuple[int, str]]:
        """Return the values (place of the field, value) of at least MIN_USERS users, sorted.

        A value's number is its place in the list, from 1. The driver receives at most MAX_VALUES, the most frequent.
        """
        entries = self._profiles.select(F.posexplode(F.array(*self._names)).alias("place", "value"))
        counted = entries.where("value IS NOT NULL").groupBy("place", "value").agg(F.count("*").alias("users"))
        shared = counted.where(F.col("users") >= MIN_USERS)
        frequent = shared.orderBy(F.desc("users"), "place", "value").limit(MAX_VALUES)
        return sorted((row["place"], row["value"]) for row in frequent.collect())

    def add_to(self, rows: DataFrame) -> DataFrame:
        """Add SIDE ARRAY<INT> to `rows` (row_idx, ...): one value number a field.

        The number is 0 where the user's profile has no value of the vocabulary.
        """
        numbered = self._profiles
        for place, name in enumerate(self._names):
            own = [(value, number) for number, (at, value) in enumerate(self.vocabulary, start=1) if at == place]
            numbers = rows.sparkSession.createDataFrame(own, f"{name} STRING, {name}_number INT")
            numbered = numbered.join(F.broadcast(numbers), on=name, how="left")
        codes = F.array(*[F.coalesce(f"{name}_number", F.lit(0)) for name in self._names])
        zeros = F.array(*[F.lit(0)] * len(self.fields))
        joined = rows.join(numbered.select("row_idx", codes.alias(SIDE)), on="row_idx", how="left")
        return joined.withColumn(SIDE, F.coalesce(SIDE, zeros))

    @property
    def _names(self) -> list[str]:
        return [f"field_{place}" for place in range(len(self.fields))]

    @property
    def _profiles(self) -> DataFrame:
        values = [_value(field).alias(name) for field, name in zip(self.fields, self._names, strict=True)]
        return self.users.select("row_idx", *values)


def read_side_features(tables: Tables, fields: tuple[str, ...]) -> SideFeatures | None:
    """Read the profiles of all users with an index, as of this run; None without fields."""
    if not fields:
        return None
    index = tables.read("user_index").where("user_id IS NOT NULL").withColumnRenamed("user_idx", "row_idx")
    users = index.join(tables.read("users"), on="user_id", how="inner")
    return SideFeatures(users.select("row_idx", "country", "age", "attributes"), fields)


def _value(field: str) -> Column:
    """Return a profile field STRING, lower-cased and trimmed; null where it is empty or longer than MAX_LENGTH."""
    columns = {"country": F.col("country"), "age_group": age_group(F.col("age"))}
    text = F.lower(F.trim(columns[field] if field in columns else F.col("attributes")[field]))
    return F.when((text != "") & (F.length(text) <= MAX_LENGTH), text)
