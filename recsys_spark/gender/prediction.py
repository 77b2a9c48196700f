"""Prediction of probabilities on executors in plain arrays, without MLlib."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import types as T

from recsys_spark.gender.feature_arrays import FeatureArrays
from recsys_spark.gender.features import BLOCK_USERS
from recsys_spark.gender.trained_classifier import LinearModel
from recsys_spark.ranking.scorer import UserBlock
from recsys_spark.recommend.recommendations import block_columns, user_block

__all__ = ["block_probabilities", "predict_probabilities"]


def predict_probabilities(
    users: DataFrame, model: LinearModel, kept: tuple[str, ...], n_tasks: int | None = None
) -> DataFrame:
    """Predict the probabilities of users_with_profiles.

    Returns (user_idx INT, the columns `kept`, probabilities ARRAY<DOUBLE> in the order of the labels, known_items INT).

    A task holds an Arrow batch of users, BLOCK_USERS x (length of the vectors + classes) numbers, and the mapped
    matrices; with `n_tasks` the users are repartitioned.
    """
    spread = users if n_tasks is None else users.repartition(n_tasks, "user_idx")
    wanted = ("user_idx", *kept)
    schema = T.StructType([users.schema[name] for name in wanted])
    schema = schema.add("probabilities", T.ArrayType(T.DoubleType())).add("known_items", T.IntegerType())
    return spread.select(*wanted, *block_columns()).mapInArrow(partial(_predict_batches, model, wanted), schema)


def block_probabilities(block: UserBlock, model: LinearModel) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the probabilities of a block (n, classes) and its numbers of known items (n,)."""
    rows = model.features.rows(block)
    logits = rows.codes @ model.code_weights.T + model.bias
    if model.item_weights is not None:
        logits += _from_items(rows, model.item_weights.whole())
    logits -= logits.max(axis=1, keepdims=True)
    chances = np.exp(logits)
    return chances / chances.sum(axis=1, keepdims=True), rows.known_items


def _from_items(rows: FeatureArrays, weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the logits of the TF-IDF entries of each user, (n, classes)."""
    n = rows.indptr.size - 1
    row = np.repeat(np.arange(n), np.diff(rows.indptr))
    columns = [np.bincount(row, rows.values * weights[rows.indices, c], minlength=n) for c in range(weights.shape[1])]
    return np.column_stack(columns)


def _predict_batches(
    model: LinearModel, kept: tuple[str, ...], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, batch.num_rows, BLOCK_USERS):
            part = batch.slice(start, BLOCK_USERS)
            chances, known = block_probabilities(user_block(part), model)
            offsets = np.arange(len(chances) + 1, dtype=np.int32) * chances.shape[1]
            yield pa.RecordBatch.from_pydict(
                {
                    **{name: part[name] for name in kept},
                    "probabilities": pa.ListArray.from_arrays(offsets, pa.array(chances.ravel())),
                    "known_items": pa.array(known.astype(np.int32)),
                }
            )
