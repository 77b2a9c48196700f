"""Format `lastfm_360k`: play totals of users and artists, and user profiles (Celma 2010).

Columns of plays: user, artist MusicBrainz id, artist name, plays. Tab-separated without quoting: a quote inside a name
is part of the name. Artists without a MusicBrainz id are identified by name.
"""

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.reader import NAME_PREFIX, Reader, Role, attribute_map, read_lines, split_fields

__all__ = ["Lastfm360kReader"]


class Lastfm360kReader(Reader):
    """Reader of play totals by user and artist."""

    kind = "totals"

    def role(self, file: RawFile) -> Role | None:
        """Return users for `*profile*`, plays for `*plays*`."""
        if "profile" in file.name:
            return "users"
        return "plays" if "plays" in file.name else None

    def plays(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read artist id, name and total of plays.

        The id of an artist without a MusicBrainz id is `name:` and the name.
        """
        rows = split_fields(read_lines(spark, files), "\t", ("user_id", "mbid", "item_name", "play_count"))
        by_name = F.concat(F.lit(NAME_PREFIX), F.col("item_name"))
        has_mbid = F.trim("mbid") != ""
        return rows.withColumn("item_id", F.when(has_mbid, F.col("mbid")).otherwise(by_name)).drop("mbid")

    def users(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read gender, age and country, with the sign-up date as an attribute."""
        names = ("user_id", "gender", "age", "country", "signup")
        rows = split_fields(read_lines(spark, files), "\t", names)
        return rows.withColumn("attributes", attribute_map("signup"))
