"""Vectors as Spark and Arrow rows."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.ranking.item_matrix import ItemMatrix

__all__ = ["matrix_frame", "vectors_to_arrow"]


def matrix_frame(spark: SparkSession, matrix: ItemMatrix, side: str) -> DataFrame:
    """Return the rows of a matrix, except zero ones, one tile a task.

    Columns: user_idx or item_idx INT, by `side` user or item; vector ARRAY<FLOAT>.
    """
    tiles = spark.range(0, matrix.n_tiles, 1, matrix.n_tiles).select(F.col("id").cast("int").alias("tile"))
    return tiles.mapInArrow(partial(_read_tiles, matrix, f"{side}_idx"), f"{side}_idx INT, vector ARRAY<FLOAT>")


def vectors_to_arrow(name: str, numbers: NDArray[np.int32], vectors: NDArray[np.float32]) -> pa.RecordBatch:
    """Return a batch of numbers, (n,), in column `name` and `vector`, (n, k)."""
    offsets = np.arange(len(vectors) + 1, dtype=np.int32) * vectors.shape[1]
    lists = pa.ListArray.from_arrays(offsets, np.ascontiguousarray(vectors, dtype=np.float32).ravel())
    return pa.RecordBatch.from_arrays([pa.array(numbers), lists], [name, "vector"])


def _read_tiles(matrix: ItemMatrix, name: str, numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for number in (number for batch in numbers for number in batch["tile"].to_pylist()):
        tile = matrix.tile(number)
        nonzero = np.flatnonzero(tile.any(axis=1))
        yield vectors_to_arrow(name, (nonzero + number * matrix.tile_items).astype(np.int32), tile[nonzero])
