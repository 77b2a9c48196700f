"""Format `lastfm_gender`: user, artist, sex, country with a header; one row an artist that the user plays."""

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.core.errors import ConfigError
from recsys_spark.ingestion.csv_files import header_of, read_csv
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.reader import Reader, Role

__all__ = ["LastfmGenderReader"]

COLUMNS = {"user_id": "user", "item_id": "artist", "gender": "sex", "country": "country"}


class LastfmGenderReader(Reader):
    """Untimed plays without counts; the user's gender and country stand on every row."""

    kind = "events"

    def role(self, file: RawFile) -> Role | None:
        """All CSV files are plays."""
        return "plays" if file.name.removesuffix(".gz").endswith(".csv") else None

    def check(self, spark: SparkSession, files: Sequence[RawFile]) -> None:
        """Raises ConfigError naming columns that a header lacks."""
        for file in files:
            header = header_of(spark, file, self.settings, ",")
            missing = [name for name in COLUMNS.values() if name not in header]
            if len(header) > 1 and missing:
                raise ConfigError(f"{file.uri}: no column {', '.join(missing)}; is it of format lastfm_gender?")

    def plays(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """The artist's name is id and name at once."""
        rows = read_csv(spark, files, COLUMNS, self.settings)
        return rows.withColumn("item_name", F.col("item_id"))
