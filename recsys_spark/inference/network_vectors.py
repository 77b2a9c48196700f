"""Vectors of a trained network: tables of users and items, and the matrices for scores and cosines.

Executors compute codes from the training shards. The driver writes the output layer, because it holds the weights.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.networks.network import Network
from recsys_spark.ranking.matrix_frames import matrix_frame, vectors_to_arrow
from recsys_spark.ranking.matrix_writer import write_item_arrays, write_item_matrix
from recsys_spark.storage.shard_format import Manifest
from recsys_spark.training.shard_loader import read_file
from recsys_spark.training.validation import to_batch
from recsys_spark.training.weights import cached_network

__all__ = ["NetworkVectors", "network_vectors"]

ENCODED_ROWS = 1024


class NetworkVectors(NamedTuple):
    """Tables `user_vectors` (user_idx INT, vector ARRAY<FLOAT>) and `item_vectors` (item_idx INT, vector)."""

    user_vectors: DataFrame
    item_vectors: DataFrame


def network_vectors(
    spark: SparkSession, folder: Path, shards: Path, manifest: Manifest, max_bytes: int
) -> NetworkVectors:
    """Return the vectors of the network below `folder`, and write its item matrices there.

    The rows are those of its training shards. The matrix `items` gives scores by products with the user side,
    `item_vectors` gives cosines. A task holds the rows of one file and the network's weights, memory-mapped. Raises
    ConfigError for matrices above `max_bytes`.
    """
    network = cached_network(str(folder)).network
    codes = _codes(spark, folder, shards, manifest)
    n_columns = network.shape.n_columns
    trained = network.trained_columns.numpy()
    layer = _output_layer(network, trained)
    if manifest.shard_spec.rows == "users":
        items = network.column_vectors.detach().numpy() * trained[:, None]
        vectors = write_item_arrays(items, folder / "item_vectors", n_columns, items.shape[1], max_bytes)
        write_item_arrays(layer, folder / "items", n_columns, layer.shape[1], max_bytes)
        return NetworkVectors(_numbered(codes, "user"), matrix_frame(spark, vectors, "item"))
    users = write_item_arrays(layer, folder / "users", n_columns, layer.shape[1], max_bytes)
    item_vectors = _numbered(codes, "item")
    n_items = network.shape.n_rows
    write_item_matrix(item_vectors, folder / "item_vectors", n_items, max_bytes)
    with_bias = item_vectors.withColumn("vector", F.concat("vector", F.array(F.lit(1.0).cast("float"))))
    write_item_matrix(with_bias, folder / "items", n_items, max_bytes)
    return NetworkVectors(matrix_frame(spark, users, "user"), item_vectors)


def _output_layer(network: Network, trained: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return weights and biases of the last layer, (n_columns, h + 1); zero for columns without training data."""
    weights = network.output_weight.detach().numpy()
    layer: NDArray[np.float32] = np.column_stack([weights, network.output_bias.detach().numpy()])
    layer *= trained[:, None]
    return layer


def _numbered(codes: DataFrame, side: str) -> DataFrame:
    return codes.select(F.col("row_idx").alias(f"{side}_idx"), "vector")


def _codes(spark: SparkSession, folder: Path, shards: Path, manifest: Manifest) -> DataFrame:
    """Return the codes of all rows of the shards, one file per task: row_idx INT, vector ARRAY<FLOAT>."""
    encode = partial(_encode_files, str(folder), str(shards))
    files = spark.range(0, len(manifest.files), 1, len(manifest.files)).select(F.col("id").cast("int").alias("file"))
    return files.mapInArrow(encode, "row_idx INT, vector ARRAY<FLOAT>")


def _encode_files(folder: str, shards: str, numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    network = cached_network(folder).network
    manifest = Manifest.read(Path(shards))
    for number in (number for batch in numbers for number in batch["file"].to_pylist()):
        rows = read_file(Path(shards), manifest.files[number])
        for start in range(0, len(rows), ENCODED_ROWS):
            part = rows.between(start, min(start + ENCODED_ROWS, len(rows)))
            with torch.no_grad():
                batch = to_batch(part, manifest.n_columns, torch.device("cpu"))
                yield vectors_to_arrow("row_idx", part.numbers, network.encode_trained(batch).numpy())
