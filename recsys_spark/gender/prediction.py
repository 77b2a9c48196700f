"""Prediction of probabilities on executors in plain arrays, without MLlib."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import types as T

from recsys_spark.gender.features import BLOCK_USERS
from recsys_spark.gender.linear_model import LinearModel, block_probabilities
from recsys_spark.recommend.recommendations import block_columns, user_block

__all__ = ["predict_probabilities"]


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
