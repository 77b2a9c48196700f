"""Format `lastfm_2k`: play totals of users and artists of HetRec 2011 (Cantador et al. 2011).

user_artists.dat has user, artist and weight (plays), artists.dat has id, name, url and picture. Both are tab-separated
with a header, without quoting. The other files of the folder (tags, friends) are ignored.
"""

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.encodings import UTF8_OR_LATIN
from recsys_spark.ingestion.reader import Reader, Role, attribute_map, read_lines, split_fields

__all__ = ["Lastfm2kReader"]

ROLES: dict[str, Role] = {"user_artists.dat": "plays", "artists.dat": "items"}
PLAYS_HEADER = "userID\tartistID\tweight"
ITEMS_HEADER = "id\tname\turl\tpictureURL"


class Lastfm2kReader(Reader):
    """Reader of play totals by user and artist."""

    kind = "totals"

    def role(self, file: RawFile) -> Role | None:
        """Return the role by the original file name, compressed or not, in any case."""
        return ROLES.get(file.data_name)

    def plays(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read user, artist and total of plays."""
        return self._read(spark, files, PLAYS_HEADER, ("user_id", "item_id", "play_count"))

    def items(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read names, with the address of the artist's page as an attribute."""
        rows = self._read(spark, files, ITEMS_HEADER, ("item_id", "name", "url", "picture"))
        return rows.withColumn("attributes", attribute_map("url"))

    def _read(self, spark: SparkSession, files: Sequence[RawFile], header: str, names: Sequence[str]) -> DataFrame:
        lines = read_lines(spark, files, UTF8_OR_LATIN).where(F.col("raw") != header)
        return split_fields(lines, "\t", names)
