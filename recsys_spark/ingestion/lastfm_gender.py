"""Format `lastfm_gender`: user, artist, sex, country with a header.

Each row is one artist that the user plays.
"""

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.core.errors import ConfigError
from recsys_spark.ingestion.csv_files import read_csv
from recsys_spark.ingestion.csv_headers import read_headers
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.reader import Reader, Role

__all__ = ["LastfmGenderReader"]

COLUMNS = {"user_id": "user", "item_id": "artist", "gender": "sex", "country": "country"}


class LastfmGenderReader(Reader):
    """Reader of untimed plays without counts; every row has the user's gender and country."""

    kind = "events"

    def role(self, file: RawFile) -> Role | None:
        """Return plays for every CSV file."""
        return "plays" if file.data_name.endswith(".csv") else None

    def check(self, spark: SparkSession, files: Sequence[RawFile]) -> None:
        """Raise ConfigError naming columns that a header lacks."""
        for file, header in read_headers(spark, files, self.settings, ",").items():
            missing = [name for name in COLUMNS.values() if name not in header.names]
            if len(header.names) > 1 and missing:
                raise ConfigError(f"{file.uri} has no column {', '.join(missing)}: check source.format lastfm_gender")

    def plays(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read plays with the artist's name as id and name."""
        rows = read_csv(spark, files, COLUMNS, self.settings)
        return rows.withColumn("item_name", F.col("item_id"))
