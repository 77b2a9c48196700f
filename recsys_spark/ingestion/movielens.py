"""Format `movielens`: the original folders of MovieLens.

100K has u.data, u.user and u.item, 1M and 10M have *.dat, and 20M, 25M, 32M and latest have *.csv with a header. 100K
and 1M are ISO-8859-1, the others UTF-8. Other files of the folder (README, u1.base, tags.csv, ...) are ignored.
"""

from collections.abc import Mapping, Sequence
from functools import partial, reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.ingestion.csv_files import check_columns_by_role, read_csv
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.encodings import UTF8_OR_LATIN
from recsys_spark.ingestion.reader import Reader, Role, attribute_map, read_lines, split_fields

__all__ = ["MovieLensReader"]

ROLES: dict[str, Role] = {
    "u.data": "plays",
    "ratings.dat": "plays",
    "u.user": "users",
    "users.dat": "users",
    "u.item": "items",
    "movies.dat": "items",
    "ratings.csv": "plays",
    "movies.csv": "items",
}
CSV_COLUMNS: dict[Role, dict[str, str]] = {
    "plays": {"user_id": "userId", "item_id": "movieId", "rating": "rating", "played_at": "timestamp"},
    "items": {"item_id": "movieId", "name": "title", "genres": "genres"},
}
NO_GENRES = "(no genres listed)"
# The flags at the end of each line of u.item, as u.genre numbers them.
GENRES_100K = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]
ITEM_100K = ("item_id", "name", "released", "video_released", "url", *GENRES_100K)


class MovieLensReader(Reader):
    """Reader of ratings from 0.5 to 5 with times."""

    kind = "ratings"
    timed = True
    rating_range = (0.5, 5.0)

    def role(self, file: RawFile) -> Role | None:
        """Return the role by the original file name, compressed or not, in any case."""
        return ROLES.get(file.data_name)

    def check(self, spark: SparkSession, files: Sequence[RawFile]) -> None:
        """Raise ConfigError naming columns that a header lacks."""
        check_columns_by_role(spark, [file for file in files if _layout(file) == "csv"], self, CSV_COLUMNS)

    def plays(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read user, item, rating and epoch seconds."""
        names = ("user_id", "item_id", "rating", "played_at")
        return self._union(spark, files, {"u": ("\t", names), "dat": ("::", names)})

    def users(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read gender and age, with occupation and zip code as attributes.

        The age of 1M is the lower bound of an age group.
        """
        old = ("user_id", "age", "gender", "occupation", "zip")
        new = ("user_id", "gender", "age", "occupation", "zip")
        rows = self._union(spark, files, {"u": ("|", old), "dat": ("::", new)})
        return rows.withColumn("attributes", attribute_map("occupation", "zip"))

    def items(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read titles, with genres (joined by `|`) and year as attributes."""
        rows = self._union(spark, files, {"u": ("|", ITEM_100K), "dat": ("::", ("item_id", "name", "genres"))})
        year = F.nullif(F.regexp_extract("name", r"\((\d{4})\)\s*$", 1), F.lit(""))
        rows = rows.withColumns({"year": year, "genres": F.nullif("genres", F.lit(NO_GENRES))})
        return rows.withColumn("attributes", attribute_map("genres", "year"))

    def _union(
        self, spark: SparkSession, files: Sequence[RawFile], layouts: Mapping[str, tuple[str, Sequence[str]]]
    ) -> DataFrame:
        """Read files of one role; `layouts` has the separator and the fields of each layout without a header."""
        groups: dict[str, list[RawFile]] = {}
        for file in files:
            groups.setdefault(_layout(file), []).append(file)
        frames = []
        for layout, group in groups.items():
            if layout == "csv":
                frames.append(read_csv(spark, group, CSV_COLUMNS[ROLES[group[0].data_name]], self.settings))
                continue
            rows = split_fields(read_lines(spark, group, UTF8_OR_LATIN), *layouts[layout])
            frames.append(_with_genres(rows) if "Action" in rows.columns else rows)
        return reduce(partial(DataFrame.unionByName, allowMissingColumns=True), frames)


def _layout(file: RawFile) -> str:
    """Return u for 100K, dat for 1M and 10M, csv for later ones."""
    return "u" if file.data_name.startswith("u.") else file.data_name.rsplit(".", 1)[-1]


def _with_genres(rows: DataFrame) -> DataFrame:
    """Replace the flags of 100K by the names of the genres."""
    set_flags = [F.when(F.col(f"`{genre}`") == "1", F.lit(genre)) for genre in GENRES_100K]
    return rows.withColumn("genres", F.concat_ws("|", *set_flags)).drop(*GENRES_100K)
