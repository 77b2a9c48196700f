"""What users state of themselves, as numbers that stand beside the rows of shards (side information).

Values that few users share say nothing that can be learned, and too much of whom they belong to: they are left out.
"""

from dataclasses import dataclass
from functools import cached_property

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.preparation.age_groups import AGES, band_of
from recsys_spark.storage.shard_format import SIDE
from recsys_spark.storage.tables import Tables

__all__ = ["MAX_VALUES", "MIN_USERS", "Profiles", "read_profiles"]

MIN_USERS = 5
# Of all fields together; more are no categories.
MAX_VALUES = 10_000
MAX_LENGTH = 100


@dataclass(frozen=True)
class Profiles:
    """`users`: (row_idx INT, country STRING, age INT, attributes MAP) of users with a number; `fields` as
    ShardSpec.side. `version` is that of the table users.
    """

    users: DataFrame
    fields: tuple[str, ...]
    version: int

    @cached_property
    def features(self) -> list[tuple[int, str]]:
        """(place of the field, value) that at least MIN_USERS users state, sorted: a feature's number is its place in
        the list, from 1. The driver gets at most MAX_VALUES, the most frequent.
        """
        stated = self._stated.select(F.posexplode(F.array(*self._names)).alias("place", "value"))
        counted = stated.where("value IS NOT NULL").groupBy("place", "value").agg(F.count("*").alias("users"))
        shared = counted.where(F.col("users") >= MIN_USERS)
        frequent = shared.orderBy(F.desc("users"), "place", "value").limit(MAX_VALUES)
        return sorted((row["place"], row["value"]) for row in frequent.collect())

    def beside(self, rows: DataFrame) -> DataFrame:
        """`rows` (row_idx, ...) with SIDE ARRAY<INT>, the number of a feature for each field, 0 where none is known."""
        numbered = self._stated
        for place, name in enumerate(self._names):
            own = [(value, number) for number, (at, value) in enumerate(self.features, start=1) if at == place]
            known = rows.sparkSession.createDataFrame(own, f"{name} STRING, {name}_number INT")
            numbered = numbered.join(F.broadcast(known), on=name, how="left")
        numbers = [F.coalesce(f"{name}_number", F.lit(0)) for name in self._names]
        codes = numbered.select("row_idx", F.array(*numbers).alias(SIDE))
        nothing = F.array(*[F.lit(0)] * len(self.fields))
        return rows.join(codes, on="row_idx", how="left").withColumn(SIDE, F.coalesce(SIDE, nothing))

    @property
    def _names(self) -> list[str]:
        return [f"field_{place}" for place in range(len(self.fields))]

    @property
    def _stated(self) -> DataFrame:
        values = [_value(field).alias(name) for field, name in zip(self.fields, self._names, strict=True)]
        return self.users.select("row_idx", *values)


def read_profiles(tables: Tables, fields: tuple[str, ...]) -> Profiles | None:
    """Of all users with a number, as of this run; None without fields."""
    if not fields:
        return None
    index = tables.read("user_index").where("user_id IS NOT NULL").withColumnRenamed("user_idx", "row_idx")
    users = index.join(tables.read("users"), on="user_id", how="inner")
    return Profiles(users.select("row_idx", "country", "age", "attributes"), fields, tables.data_version("users"))


def _value(field: str) -> Column:
    """A field of a profile STRING: lower-cased, without space around it; null where it is not stated."""
    stated = {"country": F.col("country"), "age_group": band_of(F.col("age"), AGES)}
    text = F.lower(F.trim(stated[field] if field in stated else F.col("attributes")[field]))
    return F.when((text != "") & (F.length(text) <= MAX_LENGTH), text)
