"""Format `book_crossing`: ratings, books and users of Book-Crossing (Ziegler et al. 2005).

The original CSV files: separated by `;`, ISO-8859-1, quotes escaped by a backslash. A rating of 0 is an interaction
without a rating.
"""

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.ingestion.csv_records import split_quoted
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.encodings import UTF8_OR_LATIN
from recsys_spark.ingestion.reader import Reader, Role, attribute_map, read_lines

__all__ = ["BookCrossingReader"]

ROLES: dict[str, Role] = {"bx-book-ratings.csv": "plays", "bx-books.csv": "items", "bx-users.csv": "users"}
RATINGS = ("user_id", "item_id", "rating")
BOOKS = ("item_id", "name", "author", "year", "publisher", "small", "medium", "large")
USERS = ("user_id", "location", "age")
HEADERS = ('"User-ID"', '"ISBN"')
CSV_OPTIONS = {"quote": '"', "escape": "\\"}


class BookCrossingReader(Reader):
    """Reader of ratings from 1 to 10, and of interactions without a rating."""

    kind = "ratings"
    rating_range = (1.0, 10.0)
    unrated_value = 0.0

    def role(self, file: RawFile) -> Role | None:
        """Return the role by the original file name, compressed or not, in any case."""
        return ROLES.get(file.data_name)

    def plays(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read user, book and rating."""
        return _read(spark, files, RATINGS)

    def users(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read the age and the country, with the whole place as an attribute."""
        rows = _read(spark, files, USERS)
        country = F.trim(F.element_at(F.split("location", ","), -1))
        return rows.withColumns({"country": country, "attributes": attribute_map("location")})

    def items(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read titles, with author, year and publisher as attributes."""
        return _read(spark, files, BOOKS).withColumn("attributes", attribute_map("author", "year", "publisher"))


def _read(spark: SparkSession, files: Sequence[RawFile], names: Sequence[str]) -> DataFrame:
    lines = read_lines(spark, files, UTF8_OR_LATIN)
    for header in HEADERS:
        lines = lines.where(~F.col("raw").startswith(header))
    return split_quoted(lines, CSV_OPTIONS, ";", names)
