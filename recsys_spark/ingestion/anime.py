"""Format `anime`: rating.csv (user_id, anime_id, rating) and anime.csv.

A rating of -1 means watched, not rated.
"""

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession

from recsys_spark.ingestion.csv_files import check_columns_by_role, read_csv
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.reader import Reader, Role, attribute_map

__all__ = ["AnimeReader"]

RATINGS = {"user_id": "user_id", "item_id": "anime_id", "rating": "rating"}
ITEMS = {"item_id": "anime_id", "name": "name"}
ATTRIBUTES = ("genre", "type", "episodes", "members")


class AnimeReader(Reader):
    """Reader of ratings from 1 to 10."""

    kind = "ratings"
    rating_range = (1.0, 10.0)
    unrated_value = -1.0

    def role(self, file: RawFile) -> Role | None:
        """Return plays for `rating*`, items for `anime*`.

        The name is that of the file, or else of its folder.
        """
        name = file.name.lower()
        if not file.data_name.endswith(".csv"):
            return None
        if not name.startswith(("rating", "anime")):
            name = file.path.lower().rsplit("/", 2)[-2]
        if name.startswith("rating"):
            return "plays"
        return "items" if name.startswith("anime") else None

    def check(self, spark: SparkSession, files: Sequence[RawFile]) -> None:
        """Raise ConfigError naming columns that a header lacks."""
        check_columns_by_role(spark, files, self, {"plays": RATINGS, "items": ITEMS})

    def plays(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read one play a row."""
        return read_csv(spark, files, RATINGS, self.settings)

    def items(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read titles, with genre, type, episodes and members as attributes."""
        columns = ITEMS | {name: name for name in ATTRIBUTES}
        rows = read_csv(spark, files, columns, self.settings)
        return rows.withColumn("attributes", attribute_map(*ATTRIBUTES))
