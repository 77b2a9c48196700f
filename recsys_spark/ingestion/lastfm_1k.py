"""Format `lastfm_1k`: plays of tracks with times, and user profiles (Celma 2010).

Columns of plays: user, time, artist MusicBrainz id, artist name, track MusicBrainz id, track name. Tab-separated
without quoting or a header. Tracks without a MusicBrainz id are identified by artist and name.
"""

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.reader import Reader, Role, attribute_map, read_lines, split_fields, with_named_items

__all__ = ["Lastfm1kReader"]

PLAYS = ("user_id", "played_at", "artist_mbid", "artist", "track_mbid", "track")
PROFILES = ("user_id", "gender", "age", "country", "signup")
PROFILE_HEADER = "#id\t"


class Lastfm1kReader(Reader):
    """Reader of timed plays of tracks."""

    kind = "events"
    timed = True

    def role(self, file: RawFile) -> Role | None:
        """Return users for `userid-profile*`, plays for `userid-timestamp*`."""
        if file.name.startswith("userid-profile"):
            return "users"
        return "plays" if file.name.startswith("userid-timestamp") else None

    def plays(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read user, time and track."""
        rows = split_fields(read_lines(spark, files), "\t", PLAYS)
        return with_named_items(rows, [F.nullif(F.trim("track_mbid"), F.lit(""))], F.col("artist"), F.col("track"))

    def users(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read gender, age and country, with the sign-up date as an attribute."""
        lines = read_lines(spark, files).where(~F.col("raw").startswith(PROFILE_HEADER))
        return split_fields(lines, "\t", PROFILES).withColumn("attributes", attribute_map("signup"))
