"""Fitting of features to the training users, and conversion to MLlib vectors."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from recsys_spark.config.gender import FeatureSet
from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import ConfigError, TrainingError
from recsys_spark.gender.feature_arrays import Codes, FeatureArrays, Features, TfIdf, user_vectors
from recsys_spark.ranking.matrix_writer import write_item_matrix
from recsys_spark.ranking.scorer import VectorScorer
from recsys_spark.recommend.recommendations import block_columns, user_block
from recsys_spark.recommend.trained_model import TrainedModel, n_items
from recsys_spark.storage.tables import Tables

__all__ = ["BLOCK_USERS", "feature_frame", "feature_numbers", "fit_features"]

BLOCK_USERS = 1024
MOMENTS = "users BIGINT, sums ARRAY<DOUBLE>, squares ARRAY<DOUBLE>"
# Smaller deviations count as zero, and their features are left at zero.
SMALLEST_DEVIATION = 1e-6


def fit_features(
    tables: Tables, config: BaseConfig, users: DataFrame, wanted: FeatureSet, source: TrainedModel | None, folder: Path
) -> Features:
    """Fit features to `users` (users_with_profiles) and write their matrices below `folder`.

    Statistics come from `users` alone. With a `source`, the known items are those that it can score. Raises ConfigError
    where `source` has no user vectors, TrainingError where none of the users has one.
    """
    limit = config.outputs.max_item_matrix_bytes
    tf_idf = None
    if wanted != "vectors":
        tf_idf = TfIdf(write_item_matrix(_idf(users), folder / "idf", n_items(tables), limit))
    if source is None:
        assert tf_idf is not None
        return Features(tf_idf.idf, None, tf_idf)
    return Features(source.matrix, None if wanted == "tf_idf" else _fit_codes(users, source), tf_idf)


def _idf(users: DataFrame) -> DataFrame:
    """Return (item_idx INT, vector ARRAY<FLOAT>) with the idf as the only number."""
    total = users.count()
    counts = users.select(F.explode("history").alias("item_idx")).groupBy("item_idx").agg(F.count(F.lit(1)).alias("n"))
    idf = (1 + F.log((1 + F.lit(total)) / (1 + F.col("n")))).cast("float")
    return counts.select("item_idx", F.array(idf).alias("vector"))


def _fit_codes(users: DataFrame, source: TrainedModel) -> Codes:
    scorer = source.scorer
    if not isinstance(scorer, VectorScorer):
        raise ConfigError(
            f"models of kind {source.version.kind} have no vectors of users: choose another --model.kind, or "
            "gender.features tf_idf"
        )
    parts = users.select("user_idx", *block_columns()).mapInArrow(partial(_moments, scorer), MOMENTS).collect()
    parts = [part for part in parts if part["users"]]
    total = sum(part["users"] for part in parts)
    if not total:
        raise TrainingError(f"{source.version.version} has no vector of any user with a gender: train it again")
    mean = sum(np.array(part["sums"]) for part in parts) / total
    variance = sum(np.array(part["squares"]) for part in parts) / total - np.square(mean)
    deviation = np.sqrt(np.maximum(variance, 0))
    scale = np.where(deviation > SMALLEST_DEVIATION, 1 / np.maximum(deviation, SMALLEST_DEVIATION), 0)
    return Codes(scorer, mean, scale / np.sqrt(mean.size))


def _moments(scorer: VectorScorer, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield one row a task: number, sum and sum of squares of the vectors."""
    total, sums, squares = 0, np.zeros(0), np.zeros(0)
    for batch in batches:
        for start in range(0, batch.num_rows, BLOCK_USERS):
            _, vectors = user_vectors(scorer, user_block(batch.slice(start, BLOCK_USERS)))
            if len(vectors):
                exact = vectors.astype(np.float64)
                sums = exact.sum(axis=0) + (sums if total else 0)
                squares = np.square(exact).sum(axis=0) + (squares if total else 0)
                total += len(vectors)
    yield pa.RecordBatch.from_pydict(
        {"users": pa.array([total]), "sums": pa.array([sums]), "squares": pa.array([squares])}
    )


def feature_numbers(users: DataFrame, features: Features) -> int:
    """Return the number of values that a feature_frame of these users has, at most."""
    found = users.agg(F.count(F.lit(1)).alias("users"), F.sum(F.size("history")).alias("items")).first()
    assert found is not None
    return int(found["users"]) * features.n_codes + (0 if features.tf_idf is None else int(found["items"] or 0))


def feature_frame(users: DataFrame, features: Features, as_vectors: bool = True) -> DataFrame:
    """Return (user_idx INT, label DOUBLE, fold INT, features VECTOR) for MLlib.

    Otherwise `features` has the same parts as a structure: indices and values, without indices if dense.
    """
    kept = [T.StructField("user_idx", T.IntegerType()), T.StructField("label", T.DoubleType())]
    kept.append(T.StructField("fold", T.IntegerType()))
    kind = VectorUDT() if as_vectors else VectorUDT.sqlType()
    schema = T.StructType([*kept, T.StructField("features", kind)])
    rows = users.select("user_idx", "label", "fold", *block_columns())
    return rows.mapInArrow(partial(_to_vectors, features), schema)


def _to_vectors(features: Features, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    names = ["user_idx", "label", "fold"]
    for batch in batches:
        for start in range(0, batch.num_rows, BLOCK_USERS):
            part = batch.slice(start, BLOCK_USERS)
            vectors = _as_vectors(features.rows(user_block(part)), features)
            yield pa.RecordBatch.from_arrays([*[part[name] for name in names], vectors], [*names, "features"])


def _as_vectors(rows: FeatureArrays, features: Features) -> pa.StructArray:
    """Return MLlib vectors as Spark stores them: dense without TF-IDF, sparse with it."""
    n, k = rows.codes.shape
    if features.tf_idf is None:
        offsets = np.arange(n + 1, dtype=np.int32) * k
        values = pa.ListArray.from_arrays(offsets, pa.array(rows.codes.ravel()))
        nothing = pa.nulls(n, pa.list_(pa.int32()))
        return _vector_structs(1, pa.nulls(n, pa.int32()), nothing, values)
    lengths = np.diff(rows.indptr)
    indptr = np.concatenate(([0], np.cumsum(lengths + k))).astype(np.int32)
    indices, values = np.empty(indptr[-1], np.int32), np.empty(indptr[-1])
    at_codes = indptr[:-1, None] + np.arange(k)
    indices[at_codes], values[at_codes] = np.arange(k), rows.codes
    row = np.repeat(np.arange(n), lengths)
    at_items = np.arange(row.size) - rows.indptr[row] + indptr[row] + k
    # MLlib needs ascending columns.
    order = np.lexsort((rows.indices, row))
    indices[at_items], values[at_items] = rows.indices[order] + k, rows.values[order]
    sizes = pa.array(np.full(n, features.width, np.int32))
    lists = [pa.ListArray.from_arrays(indptr, pa.array(column)) for column in (indices, values)]
    return _vector_structs(0, sizes, lists[0], lists[1])


def _vector_structs(kind: int, sizes: pa.Array, indices: pa.Array, values: pa.Array) -> pa.StructArray:
    kinds = pa.array(np.full(len(sizes), kind, np.int8))
    return pa.StructArray.from_arrays([kinds, sizes, indices, values], ["type", "size", "indices", "values"])
