"""Folds that a data set comes with: u1.test, u2.test, ... of MovieLens 100K, by which published errors are compared."""

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.core.paths import file_uri, literal_path

__all__ = ["given_fold"]


def given_fold(spark: SparkSession, folder: str, fold: int, user_index: DataFrame, item_index: DataFrame) -> DataFrame:
    """(user_idx, item_idx) of the pairs of one fold: the first two of the tab-separated columns of u{fold}.test.

    Raises MissingInputError without such a file, ConfigError where it names users or items that were not ingested.
    """
    path = Path(folder) / f"u{fold}.test"
    if not path.is_file():
        raise MissingInputError(f"split.folds_path: there is no {path}; unset it to draw folds by chance")
    fields = F.split("value", "\t")
    ids = [fields.getItem(place).alias(name) for place, name in enumerate(("user_id", "item_id"))]
    pairs = spark.read.text(literal_path(file_uri(path))).where("length(trim(value)) > 0").select(*ids)
    known = pairs.join(user_index, on="user_id").join(item_index, on="item_id").select("user_idx", "item_idx")
    n_given, n_known = pairs.count(), known.count()
    if n_given != n_known:
        raise ConfigError(
            f"{n_given - n_known} of the {n_given} pairs of {path} are of users or items that were not ingested: the "
            "fold belongs to other data"
        )
    return known
