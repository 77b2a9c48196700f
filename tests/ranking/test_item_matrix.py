"""Item matrices written from Spark rows: complete folders with equal numbers, or errors."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.core.errors import ConfigError, MissingInputError, TrainingError
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.matrix_writer import write_item_matrix

SCHEMA = "item_idx INT, vector ARRAY<FLOAT>"
PLENTY = 1 << 30


def frame(spark: SparkSession, vectors: dict[int, list[float] | None]) -> DataFrame:
    return spark.createDataFrame(list(vectors.items()), SCHEMA)


def all_rows(matrix: ItemMatrix) -> NDArray[np.float32]:
    return matrix.rows(np.arange(matrix.n_items))


def test_position_is_item_idx_and_gaps_are_zero(spark: SparkSession, tmp_path: Path) -> None:
    """Items 0, 4, 9 of 12 in tiles of 3 have a vector: the third tile has none."""
    vectors = {9: [5.0, 6.0], 0: [1.0, 2.0], 4: [3.0, 4.0], 5: None}
    matrix = write_item_matrix(frame(spark, vectors), tmp_path / "m", 12, PLENTY, tile_items=3)
    expected = np.zeros((12, 2), dtype=np.float32)
    expected[[0, 4, 9]] = [[1, 2], [3, 4], [5, 6]]
    np.testing.assert_array_equal(all_rows(matrix), expected)
    assert [matrix.tile(number).shape for number in range(matrix.n_tiles)] == [(3, 2)] * 4
    np.testing.assert_allclose(matrix.norms(), np.linalg.norm(expected, axis=1))
    np.testing.assert_allclose(matrix.gram(), expected.T @ expected)
    with pytest.raises(IndexError):
        matrix.rows(np.array([12]))


def test_last_tile_is_shorter(spark: SparkSession, tmp_path: Path) -> None:
    vectors: dict[int, list[float] | None] = {i: [float(i), 1.0] for i in range(7)}
    matrix = write_item_matrix(frame(spark, vectors), tmp_path / "m", 7, PLENTY, tile_items=3)
    assert matrix.tile(2).shape == (1, 2)
    np.testing.assert_array_equal(all_rows(matrix)[:, 0], np.arange(7))
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [
        "manifest.json",
        "tile-00000.npy",
        "tile-00001.npy",
        "tile-00002.npy",
    ]


def test_complete_folder_is_reused_and_incomplete_one_rewritten(spark: SparkSession, tmp_path: Path) -> None:
    first = write_item_matrix(frame(spark, {0: [1.0]}), tmp_path, 2, PLENTY)
    assert write_item_matrix(frame(spark, {0: [7.0]}), tmp_path, 2, PLENTY) == first
    # A killed job leaves no manifest.
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(MissingInputError, match="no complete item matrix"):
        ItemMatrix.open(tmp_path)
    second = write_item_matrix(frame(spark, {0: [7.0]}), tmp_path, 2, PLENTY)
    assert all_rows(second).tolist() == [[7.0], [0.0]]
    # The item index has grown since.
    third = write_item_matrix(frame(spark, {0: [7.0]}), tmp_path, 3, PLENTY)
    assert all_rows(third).tolist() == [[7.0], [0.0], [0.0]]


def test_lost_tile_is_noticed(spark: SparkSession, tmp_path: Path) -> None:
    write_item_matrix(frame(spark, {0: [1.0], 3: [2.0]}), tmp_path, 4, PLENTY, tile_items=2)
    (tmp_path / "tile-00001.npy").unlink()
    with pytest.raises(MissingInputError, match="tile-00001"):
        ItemMatrix.open(tmp_path)


def test_the_error_of_a_too_large_matrix_names_the_key(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"outputs\.max_item_matrix_bytes"):
        write_item_matrix(frame(spark, {0: [1.0, 2.0]}), tmp_path / "m", 10, max_bytes=79)
    assert not (tmp_path / "m").exists()
    write_item_matrix(frame(spark, {0: [1.0, 2.0]}), tmp_path / "m", 10, max_bytes=80)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, [1.0, float("nan")])], "not finite"),
        ([(0, [1.0, 2.0]), (1, [1.0])], "differ in length"),
        ([(0, [1.0, 2.0]), (0, [1.0, 3.0])], "several vectors"),
        ([(4, [1.0, 2.0])], "not in the item index"),
        ([(-1, [1.0, 2.0])], "not in the item index"),
    ],
)
def test_vectors_that_form_no_matrix(spark: SparkSession, tmp_path: Path, rows: list[object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        write_item_matrix(spark.createDataFrame(rows, SCHEMA), tmp_path, 4, PLENTY)
    with pytest.raises(MissingInputError):
        ItemMatrix.open(tmp_path)


def test_a_model_without_vectors_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="train_spark_model"):
        write_item_matrix(frame(spark, {}), tmp_path, 4, PLENTY)
