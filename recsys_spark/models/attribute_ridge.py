"""Ridge regression from features of items to their vectors.

Gantner et al. 2010 map attributes to factors in the same way. The normal equations are sums over items: executors
compute the sums, and the driver solves one system with as many unknowns as there are features. The constant is not
penalised, so the prediction for an item with few features lies near the mean of all vectors.

A prediction is a mean over items that share features. It is shorter than the vector of an item that people love or
avoid for reasons outside the features. So products with predicted vectors are conservative, and a predicted item leads
fewer lists than it will once it has plays. Predictions are not scaled up. Their directions, and so the neighbours, do
not depend on length.
"""

import shutil
import uuid
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy import sparse

from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.matrix_frames import vectors_to_arrow

__all__ = ["fit_attribute_ridge", "predicted_vectors"]

# Items whose sums are one file. The number is fixed, so that sums do not depend on the partitions of the items.
CHUNK_ITEMS = 1 << 16


def fit_attribute_ridge(
    entries: DataFrame, matrices: Sequence[ItemMatrix], n_features: int, reg_param: float, folder: Path
) -> NDArray[np.float64]:
    """Return the coefficients, (n_features + 1, sum of the ranks); the last row is the constant.

    Columns are those of the matrices one after the other. `entries` (feature_entries) are of items that have a vector
    in all matrices. `folder` must be visible to all executors, and is removed afterwards. For each 65,536 items it
    takes 8 (n_features + 1) (n_features + 1 + ranks) bytes, which a task holds once and the driver twice. The driver
    gets a small row for each of these files.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    chunks = entries.withColumn("chunk", F.floor(F.col("item_idx") / CHUNK_ITEMS).cast("int"))
    write = partial(_write_sums, folder, tuple(matrices), n_features)
    size = n_features + 1
    sums = np.zeros((size, size + sum(matrix.rank for matrix in matrices)))
    try:
        for _, path in sorted(chunks.groupBy("chunk").applyInArrow(write, "chunk INT, path STRING").collect()):
            sums += np.load(path, mmap_mode="r", allow_pickle=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sums[np.arange(n_features), np.arange(n_features)] += reg_param
    return np.linalg.solve(sums[:, :size], sums[:, size:])


def predicted_vectors(entries: DataFrame, coefficients: ItemMatrix) -> DataFrame:
    """Return (item_idx INT, vector ARRAY<FLOAT>) predicted for the items of `entries` (feature_entries).

    `coefficients` has shape (n_features + 1, rank).
    """
    return entries.mapInArrow(partial(_predict, coefficients), "item_idx INT, vector ARRAY<FLOAT>")


def _write_sums(folder: Path, matrices: tuple[ItemMatrix, ...], n_features: int, chunk: pa.Table) -> pa.Table:
    """Write the sums of one chunk to a file.

    Its name is new, so that repeated attempts of a task do not collide.
    """
    in_order = chunk.sort_by("item_idx")
    item_idx = in_order["item_idx"].to_numpy()
    features = _csr(in_order.combine_chunks().to_batches()[0], n_features)
    sums = [(features.T @ features).toarray()]
    sums += [features.T @ matrix.rows(item_idx).astype(np.float64) for matrix in matrices]
    path = folder / f"{uuid.uuid4().hex}.npy"
    np.save(path, np.hstack(sums), allow_pickle=False)
    number = in_order["chunk"][0].as_py()
    return pa.table({"chunk": pa.array([number], pa.int32()), "path": [str(path)]})


def _predict(coefficients: ItemMatrix, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if batch.num_rows:
            vectors = _csr(batch, coefficients.n_items - 1) @ coefficients.whole().astype(np.float64)
            yield vectors_to_arrow("item_idx", batch["item_idx"].to_numpy(), vectors.astype(np.float32))


def _csr(batch: pa.RecordBatch, n_features: int) -> sparse.csr_matrix:
    """Return the features of items, (n, n_features + 1), with a last column of ones."""
    lengths = batch["numbers"].value_lengths().to_numpy()
    indptr = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    numbers, weights = (batch[name].flatten().to_numpy() for name in ("numbers", "weights"))
    known = sparse.csr_matrix((weights, numbers, indptr), (batch.num_rows, n_features))
    return sparse.hstack([known, np.ones((batch.num_rows, 1))], format="csr")
