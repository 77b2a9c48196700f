"""What users state of themselves, as numbers that stand beside the rows of shards (side information).

Values that few users share say nothing that can be learned, and too much of whom they belong to: they are left out.
"""

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.preparation.bands import AGES, band_of
from recsys_spark.shard_files import SIDE
from recsys_spark.tables import Tables

__all__ = ["MAX_VALUES", "MIN_USERS", "Profiles", "read_profiles", "side_fields"]

MIN_USERS = 5
# Of all fields together; more are no categories.
MAX_VALUES = 10_000
MAX_LENGTH = 100


@dataclass(frozen=True)
class Profiles:
    """`users`: (row_idx INT, country STRING, age INT, attributes MAP) of users with a number; `fields` as
    Recipe.side. `version` is that of the table users.
    """

    users: DataFrame
    fields: tuple[str, ...]
    version: int

    def beside(self, rows: DataFrame) -> tuple[DataFrame, int]:
        """`rows` (row_idx, ...) with SIDE ARRAY<INT>, a number for each field, 0 where nothing is known; and the number
        of features.

        Features are values that at least MIN_USERS users state, numbered from 1 by field and value. The driver gets
        at most MAX_VALUES of them, the most frequent.
        """
        stated = self.users.select("row_idx", *[value.alias(name) for name, value in self._values().items()])
        features = self._features(stated)
        numbered = stated
        for place, name in enumerate(self._values()):
            own = [(value, number) for number, (at, value) in enumerate(features, start=1) if at == place]
            known = rows.sparkSession.createDataFrame(own, f"{name} STRING, {name}_number INT")
            numbered = numbered.join(F.broadcast(known), on=name, how="left")
        numbers = [F.coalesce(f"{name}_number", F.lit(0)) for name in self._values()]
        codes = numbered.select("row_idx", F.array(*numbers).alias(SIDE))
        nothing = F.array(*[F.lit(0)] * len(self.fields))
        return rows.join(codes, on="row_idx", how="left").withColumn(SIDE, F.coalesce(SIDE, nothing)), len(features)

    def _values(self) -> dict[str, Column]:
        return {f"field_{place}": _value(field) for place, field in enumerate(self.fields)}

    def _features(self, stated: DataFrame) -> list[tuple[int, str]]:
        """(place of the field, value), sorted."""
        values = F.array(*[F.col(name) for name in self._values()])
        counted = stated.select(F.posexplode(values).alias("place", "value")).where("value IS NOT NULL")
        shared = counted.groupBy("place", "value").agg(F.count("*").alias("users")).where(F.col("users") >= MIN_USERS)
        frequent = shared.orderBy(F.desc("users"), "place", "value").limit(MAX_VALUES)
        return sorted((row["place"], row["value"]) for row in frequent.collect())


def read_profiles(tables: Tables, fields: tuple[str, ...]) -> Profiles | None:
    """Of all users with a number, as of this run; None without fields."""
    if not fields:
        return None
    index = tables.read("user_index").where("user_id IS NOT NULL").withColumnRenamed("user_idx", "row_idx")
    users = index.join(tables.read("users"), on="user_id", how="inner")
    return Profiles(users.select("row_idx", "country", "age", "attributes"), fields, tables.data_version("users"))


def side_fields(settings: object) -> tuple[str, ...]:
    """The fields of profiles that the settings of a kind name; none for kinds that take none."""
    fields: tuple[str, ...] = getattr(settings, "side_information", ())
    return fields


def _value(field: str) -> Column:
    """A field of a profile STRING: lower-cased, without space around it; null where it is not stated."""
    stated = {"country": F.col("country"), "age_group": band_of(F.col("age"), AGES)}
    text = F.lower(F.trim(stated[field] if field in stated else F.col("attributes")[field]))
    return F.when((text != "") & (F.length(text) <= MAX_LENGTH), text)
