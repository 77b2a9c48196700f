"""Folds published with a data set, such as u1.test to u5.test of MovieLens 100K."""

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.core.paths import file_uri, literal_path

__all__ = ["read_predefined_fold"]


def read_predefined_fold(
    spark: SparkSession, folder: str, fold: int, user_index: DataFrame, item_index: DataFrame
) -> DataFrame:
    """Read the pairs (user_idx, item_idx) of one fold.

    The file is u{fold}.test; its first two tab-separated columns are user_id and item_id. Raises MissingInputError
    without such a file, and ConfigError where it names users or items that were not ingested.
    """
    path = Path(folder) / f"u{fold}.test"
    if not path.is_file():
        raise MissingInputError(
            f"split.folds_path: there is no file {path}; unset split.folds_path to draw random folds"
        )
    fields = F.split("value", "\t")
    ids = [fields.getItem(place).alias(name) for place, name in enumerate(("user_id", "item_id"))]
    pairs = spark.read.text(literal_path(file_uri(path))).where("length(trim(value)) > 0").select(*ids)
    indexed = pairs.join(user_index, on="user_id").join(item_index, on="item_id").select("user_idx", "item_idx")
    n_pairs, n_indexed = pairs.count(), indexed.count()
    if n_pairs != n_indexed:
        raise ConfigError(
            f"{n_pairs - n_indexed} of the {n_pairs} pairs of {path} are of users or items that were not ingested: set "
            "split.folds_path to the folds of the ingested data set"
        )
    return indexed
