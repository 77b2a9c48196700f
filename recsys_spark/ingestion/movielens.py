"""Format `movielens`: the original folders of MovieLens 100K and 1M.

100K has u.data, u.user and u.item, 1M has *.dat. Both are ISO-8859-1 without quoting. Other files of the folder
(README, u1.base, ...) are ignored.
"""

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.reader import Reader, Role, attribute_map, read_lines, split_fields

__all__ = ["MovieLensReader"]

ENCODING = "ISO-8859-1"
ROLES: dict[str, Role] = {
    "u.data": "plays",
    "ratings.dat": "plays",
    "u.user": "users",
    "users.dat": "users",
    "u.item": "items",
    "movies.dat": "items",
}
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
    """Reader of ratings from 1 to 5 with times."""

    kind = "ratings"
    timed = True
    rating_range = (0.5, 5.0)

    def role(self, file: RawFile) -> Role | None:
        """Return the role by the original file name, with or without `.gz`."""
        return ROLES.get(file.name.removesuffix(".gz"))

    def plays(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read user, item, rating and epoch seconds."""
        return self._by_layout(spark, files, "\t", ("user_id", "item_id", "rating", "played_at"))

    def users(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read gender and age, with occupation and zip code as attributes.

        The age of 1M is the lower bound of an age group.
        """
        frames = []
        for layout in _layouts(files):
            old = layout[0].name.startswith("u.")
            names = (
                ("user_id", "age", "gender", "occupation", "zip")
                if old
                else ("user_id", "gender", "age", "occupation", "zip")
            )
            frames.append(
                self._by_layout(spark, layout, "|", names).withColumn("attributes", attribute_map("occupation", "zip"))
            )
        return _union(frames)

    def items(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read titles, with genres (joined by `|`) and year as attributes."""
        frames = []
        for layout in _layouts(files):
            if layout[0].name.startswith("u."):
                rows = self._by_layout(spark, layout, "|", ITEM_100K)
                set_flags = [F.when(F.col(f"`{genre}`") == "1", F.lit(genre)) for genre in GENRES_100K]
                rows = rows.withColumn("genres", F.concat_ws("|", *set_flags))
            else:
                rows = self._by_layout(spark, layout, "|", ("item_id", "name", "genres"))
            year = F.nullif(F.regexp_extract("name", r"\((\d{4})\)\s*$", 1), F.lit(""))
            frames.append(rows.withColumn("year", year).withColumn("attributes", attribute_map("genres", "year")))
        return _union(frames)

    def _by_layout(
        self, spark: SparkSession, files: Sequence[RawFile], separator_100k: str, names: Sequence[str]
    ) -> DataFrame:
        return _union(
            [
                split_fields(
                    read_lines(spark, layout, ENCODING),
                    separator_100k if layout[0].name.startswith("u.") else "::",
                    names,
                )
                for layout in _layouts(files)
            ]
        )


def _layouts(files: Sequence[RawFile]) -> list[list[RawFile]]:
    """Return the files grouped by layout, 100K and 1M, without empty groups."""
    old = [file for file in files if file.name.startswith("u.")]
    new = [file for file in files if not file.name.startswith("u.")]
    return [layout for layout in (old, new) if layout]


def _union(frames: list[DataFrame]) -> DataFrame:
    result = frames[0]
    for frame in frames[1:]:
        result = result.unionByName(frame, allowMissingColumns=True)
    return result
