"""Weightings: confidence of an interaction from its play count.

Play counts are heavy-tailed: unweighted, a few items with many plays dominate a history. All weightings are Spark
expressions over the pairs; no rows are collected. BM25 and TF-IDF need statistics of the training data as well. These
are stored with the model, so that later histories are weighted as the training data were.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.weighting import WeightingSettings
from recsys_spark.core.atomic_files import write_json
from recsys_spark.core.paths import file_uri, literal_path

__all__ = [
    "Bm25Statistics",
    "fit_bm25",
    "read_bm25",
    "with_confidence",
    "write_bm25",
]

# Lower bound of the idf: an item that every user has played was still played, so its weight stays above zero.
MIN_IDF = 1e-6


@dataclass(frozen=True)
class Bm25Statistics:
    """Statistics of the training data for BM25 and TF-IDF.

    Users are documents, items are terms, plays are occurrences.

    `item_idf` has (item_idx INT, idf DOUBLE), idf = log(n_users / (1 + users who played the item)), at least
    MIN_IDF; `average_length` is the mean number of plays a user. Users without plays are not counted.
    """

    n_users: int
    average_length: float
    item_idf: DataFrame


def fit_bm25(interactions: DataFrame) -> Bm25Statistics:
    """Compute statistics of training `interactions` (user_idx, item_idx, play_count; one row a pair)."""
    totals = interactions.agg(F.count_distinct("user_idx").alias("n_users"), F.sum("play_count").alias("plays")).first()
    n_users = totals["n_users"] if totals else 0
    average_length = totals["plays"] / n_users if totals and n_users else 0.0
    idf = F.greatest(F.log(F.lit(n_users) / (1 + F.count(F.lit(1)))), F.lit(MIN_IDF))
    return Bm25Statistics(n_users, average_length, interactions.groupBy("item_idx").agg(idf.alias("idf")))


def write_bm25(statistics: Bm25Statistics, folder: Path) -> Bm25Statistics:
    """Write statistics below a model's folder and read them back; files of an unfinished run are replaced."""
    statistics.item_idf.write.mode("overwrite").parquet(file_uri(folder / "bm25_idf"))
    scalars = {"n_users": statistics.n_users, "average_length": statistics.average_length}
    write_json(folder / "bm25.json", scalars)
    return read_bm25(statistics.item_idf.sparkSession, folder)


def read_bm25(spark: SparkSession, folder: Path) -> Bm25Statistics:
    """Read statistics written by `write_bm25`."""
    scalars = json.loads((folder / "bm25.json").read_text())
    return Bm25Statistics(**scalars, item_idf=spark.read.parquet(literal_path(file_uri(folder / "bm25_idf"))))


def with_confidence(
    interactions: DataFrame, settings: WeightingSettings, statistics: Bm25Statistics | None = None
) -> DataFrame:
    """Add `confidence` FLOAT to `interactions` (user_idx, item_idx, play_count, ...).

    BM25 is r (k1 + 1) / (r + k1 (1 - b + b length / average_length)) idf, with r the plays of the pair and
    length those of the user: the form that the `implicit` library calls bm25_weight (Robertson and Zaragoza
    2009, with that library's idf). TF-IDF is sqrt(r) idf. Without `statistics`, both use those of `interactions`;
    confidence is null for an item without an idf.
    """
    plays = F.col("play_count").cast("double")
    if settings.needs_statistics:
        statistics = statistics or fit_bm25(interactions)
        if settings.weighting == "bm25":
            return _with_bm25(interactions, settings, statistics)
        return _with_idf(interactions, statistics, F.sqrt("play_count") * F.col("idf"))
    confidence: dict[str, Column] = {"linear": plays, "log": F.log1p(plays), "binary": F.lit(1.0)}
    return interactions.withColumn("confidence", confidence[settings.weighting].cast("float"))


def _with_bm25(interactions: DataFrame, settings: WeightingSettings, statistics: Bm25Statistics) -> DataFrame:
    lengths = interactions.groupBy("user_idx").agg(F.sum("play_count").alias("_length"))
    average_length = F.lit(statistics.average_length)
    weight = _bm25(F.col("play_count").cast("double"), F.col("_length"), average_length, F.col("idf"), settings)
    return _with_idf(interactions.join(lengths, on="user_idx", how="inner"), statistics, weight).drop("_length")


def _with_idf(interactions: DataFrame, statistics: Bm25Statistics, weight: Column) -> DataFrame:
    """Add `confidence` by an expression with `idf`."""
    joined = interactions.join(statistics.item_idf, on="item_idx", how="left")
    return joined.withColumn("confidence", weight.cast("float")).select(*interactions.columns, "confidence")


def _bm25(plays: Column, length: Column, average_length: Column, idf: Column, settings: WeightingSettings) -> Column:
    norm = 1 - settings.bm25_b + settings.bm25_b * length / average_length
    return plays * (settings.bm25_k1 + 1) / (settings.bm25_k1 * norm + plays) * idf
