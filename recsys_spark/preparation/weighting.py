"""How much weight a model gives to a play count.

Play counts are heavy-tailed: taken as they are, a few obsessions outvote a whole taste. Each weighting
answers that in its own way; all are Spark expressions over the pairs, so nothing is collected. BM25 and TF-IDF
also need statistics of the training data. They are a value of their own, so that a history met later is weighted
with the numbers that the model was trained on.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.core.atomic_files import write_json
from recsys_spark.core.paths import file_uri, literal_path

__all__ = [
    "Bm25Statistics",
    "Weighting",
    "WeightingSettings",
    "fit_bm25",
    "keep_bm25",
    "kept_bm25",
    "with_confidence",
]

Weighting = Literal["linear", "log", "binary", "bm25", "tf_idf"]

# An item that everyone has played says nothing, yet it was played: to count as such its weight must stay
# above zero.
MIN_IDF = 1e-6


class WeightingSettings(BaseModel):
    """Settings that every model trained on confidences shares."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weighting: Weighting = Field(
        default="log",
        description="Confidence from play counts: linear (as they are), log (log(1 + plays)), binary (1), "
        "bm25 (saturating, rare items and short histories weigh more), tf_idf (root of plays, rare items weigh more).",
    )
    bm25_k1: float = Field(default=100.0, gt=0, description="bm25: plays at which the weight is half saturated.")
    bm25_b: float = Field(
        default=0.8, ge=0, le=1, description="bm25: how far long histories are discounted (0 not, 1 fully)."
    )

    @property
    def needs_statistics(self) -> bool:
        """Whether weights depend on what the training data say of an item."""
        return self.weighting in ("bm25", "tf_idf")


@dataclass(frozen=True)
class Bm25Statistics:
    """What BM25 knows of the training data: users are documents, items are terms, plays are occurrences.

    `item_idf` has (item_idx INT, idf DOUBLE), idf = log(n_users / (1 + users who played the item)), at least
    MIN_IDF; `average_length` is the mean number of plays a user. Users without plays are not counted.
    """

    n_users: int
    average_length: float
    item_idf: DataFrame


def fit_bm25(interactions: DataFrame) -> Bm25Statistics:
    """BM25 statistics of training `interactions` (user_idx, item_idx, play_count; one row a pair)."""
    totals = interactions.agg(F.count_distinct("user_idx").alias("n_users"), F.sum("play_count").alias("plays")).first()
    n_users = totals["n_users"] if totals else 0
    average_length = totals["plays"] / n_users if totals and n_users else 0.0
    idf = F.greatest(F.log(F.lit(n_users) / (1 + F.count(F.lit(1)))), F.lit(MIN_IDF))
    return Bm25Statistics(n_users, average_length, interactions.groupBy("item_idx").agg(idf.alias("idf")))


def keep_bm25(statistics: Bm25Statistics, folder: Path) -> Bm25Statistics:
    """Writes the statistics below a model's folder, in the place of what an unfinished run left, and reads
    them back.
    """
    statistics.item_idf.write.mode("overwrite").parquet(file_uri(folder / "bm25_idf"))
    scalars = {"n_users": statistics.n_users, "average_length": statistics.average_length}
    write_json(folder / "bm25.json", scalars)
    return kept_bm25(statistics.item_idf.sparkSession, folder)


def kept_bm25(spark: SparkSession, folder: Path) -> Bm25Statistics:
    """The statistics that `keep_bm25` wrote."""
    scalars = json.loads((folder / "bm25.json").read_text())
    return Bm25Statistics(**scalars, item_idf=spark.read.parquet(literal_path(file_uri(folder / "bm25_idf"))))


def with_confidence(
    interactions: DataFrame, settings: WeightingSettings, statistics: Bm25Statistics | None = None
) -> DataFrame:
    """Adds `confidence` FLOAT to `interactions` (user_idx, item_idx, play_count, ...).

    BM25 is r (k1 + 1) / (r + k1 (1 - b + b length / average_length)) idf, with r the plays of the pair and
    length those of the user: the form that the `implicit` library calls bm25_weight (Robertson and Zaragoza
    2009, with that library's idf). TF-IDF is sqrt(r) idf. Both take `statistics`, those of `interactions` itself if
    none are given; an item that they do not know gets null.
    """
    plays = F.col("play_count").cast("double")
    if settings.needs_statistics:
        known = statistics or fit_bm25(interactions)
        if settings.weighting == "bm25":
            return _with_bm25(interactions, settings, known)
        return _with_idf(interactions, known, F.sqrt("play_count") * F.col("idf"))
    confidence: dict[str, Column] = {"linear": plays, "log": F.log1p(plays), "binary": F.lit(1.0)}
    return interactions.withColumn("confidence", confidence[settings.weighting].cast("float"))


def _with_bm25(interactions: DataFrame, settings: WeightingSettings, statistics: Bm25Statistics) -> DataFrame:
    lengths = interactions.groupBy("user_idx").agg(F.sum("play_count").alias("_length"))
    average_length = F.lit(statistics.average_length)
    weight = _bm25(F.col("play_count").cast("double"), F.col("_length"), average_length, F.col("idf"), settings)
    return _with_idf(interactions.join(lengths, on="user_idx", how="inner"), statistics, weight).drop("_length")


def _with_idf(interactions: DataFrame, statistics: Bm25Statistics, weight: Column) -> DataFrame:
    """Adds `confidence` from an expression with `idf`."""
    known = interactions.join(statistics.item_idf, on="item_idx", how="left")
    return known.withColumn("confidence", weight.cast("float")).select(*interactions.columns, "confidence")


def _bm25(plays: Column, length: Column, average_length: Column, idf: Column, settings: WeightingSettings) -> Column:
    norm = 1 - settings.bm25_b + settings.bm25_b * length / average_length
    return plays * (settings.bm25_k1 + 1) / (settings.bm25_k1 * norm + plays) * idf
