"""Format `sample`: karaoke plays of generate_sample (plays/, users.csv, items.csv)."""

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession

from recsys_spark.ingestion.csv_files import check_columns_by_role, read_csv
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.reader import Reader, Role, attribute_map

__all__ = ["SampleReader"]

COLUMNS: dict[Role, dict[str, str]] = {
    "plays": {"user_id": "user_id", "item_id": "item_id", "played_at": "played_at"},
    "users": {name: name for name in ("user_id", "gender", "age", "country")},
    "items": {"item_id": "item_id", "name": "name"},
}
ITEM_ATTRIBUTES = ("artist", "genre", "year")


class SampleReader(Reader):
    """Reader of timed events, users and items."""

    kind = "events"
    timed = True

    def role(self, file: RawFile) -> Role | None:
        """Return the role that the file's or its folder's name begins with.

        The generator's truth files have none.
        """
        if not file.name.endswith(".csv"):
            return None
        for part in reversed(file.path.split("/")[-2:]):
            for role in COLUMNS:
                if part == role or part.startswith(f"{role}.") or part.startswith(f"{role}-"):
                    return role
        return None

    def check(self, spark: SparkSession, files: Sequence[RawFile]) -> None:
        """Raise ConfigError naming columns that a header lacks."""
        check_columns_by_role(spark, files, self, COLUMNS)

    def plays(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read user, item and time."""
        return read_csv(spark, files, COLUMNS["plays"], self.settings)

    def users(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read gender, age and country."""
        return read_csv(spark, files, COLUMNS["users"], self.settings)

    def items(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read titles, with artist, genre and year as attributes."""
        rows = read_csv(spark, files, COLUMNS["items"] | {n: n for n in ITEM_ATTRIBUTES}, self.settings)
        return rows.withColumn("attributes", attribute_map(*ITEM_ATTRIBUTES))
