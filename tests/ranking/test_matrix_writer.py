"""Item matrices written from arrays: the folder that executors write, for any blocks of rows."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from recsys_spark.core.errors import ConfigError, MissingInputError, TrainingError
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.matrix_writer import write_item_arrays, write_item_matrix

PLENTY = 1 << 30
VECTORS = np.random.default_rng(0).normal(size=(11, 3)).astype(np.float32)


def blocks(*lengths: int) -> Iterator[NDArray[np.float32]]:
    bounds = np.cumsum([0, *lengths])
    return (VECTORS[a:b] for a, b in pairwise(bounds))


def all_rows(matrix: ItemMatrix) -> NDArray[np.float32]:
    return matrix.rows(np.arange(matrix.n_items))


@pytest.mark.parametrize("lengths", [(11,), (1,) * 11, (5, 6), (4, 4, 3), (0, 7, 0, 4, 0), (3, 8)])
@pytest.mark.parametrize("tile_items", [1, 4, 11, 100])
def test_rows_are_cut_into_tiles(tmp_path: Path, lengths: tuple[int, ...], tile_items: int) -> None:
    matrix = write_item_arrays(blocks(*lengths), tmp_path, 11, 3, PLENTY, tile_items)
    np.testing.assert_array_equal(all_rows(matrix), VECTORS)
    assert matrix.n_tiles == -(-11 // tile_items)
    assert ItemMatrix.open(tmp_path) == matrix


def test_the_folder_equals_that_of_the_executors(spark: SparkSession, tmp_path: Path) -> None:
    rows = [(i, [float(value) for value in vector]) for i, vector in enumerate(VECTORS)]
    frame = spark.createDataFrame(rows, "item_idx INT, vector ARRAY<FLOAT>")
    from_rows = write_item_matrix(frame, tmp_path / "spark", 11, PLENTY, tile_items=4)
    from_arrays = write_item_arrays(VECTORS, tmp_path / "arrays", 11, 3, PLENTY, tile_items=4)
    assert contents(tmp_path / "arrays").keys() == contents(tmp_path / "spark").keys()
    for name in set(contents(tmp_path / "arrays")) - {"manifest.json"}:
        assert contents(tmp_path / "arrays")[name] == contents(tmp_path / "spark")[name]
    assert from_arrays.version != from_rows.version


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_complete_folder_is_reused_and_another_one_rewritten(tmp_path: Path) -> None:
    first = write_item_arrays(VECTORS, tmp_path, 11, 3, PLENTY)
    assert write_item_arrays(VECTORS * 2, tmp_path, 11, 3, PLENTY) == first
    wider = np.ones((11, 4), dtype=np.float32)
    assert write_item_arrays(wider, tmp_path, 11, 4, PLENTY).rank == 4
    (tmp_path / "manifest.json").unlink()
    np.testing.assert_array_equal(all_rows(write_item_arrays(VECTORS, tmp_path, 11, 3, PLENTY)), VECTORS)


def test_the_error_of_a_too_large_matrix_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"outputs\.max_item_matrix_bytes"):
        write_item_arrays(VECTORS, tmp_path / "m", 11, 3, max_bytes=11 * 3 * 4 - 1)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("n_items", [10, 12])
@pytest.mark.parametrize("lengths", [(11,), (10, 1)])
def test_other_numbers_of_rows_leave_no_matrix(tmp_path: Path, n_items: int, lengths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"than {n_items} rows"):
        write_item_arrays(blocks(*lengths), tmp_path, n_items, 3, PLENTY, tile_items=4)
    with pytest.raises(MissingInputError):
        ItemMatrix.open(tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_leave_no_matrix(tmp_path: Path, value: float) -> None:
    broken = VECTORS.copy()
    broken[10, 2] = value
    with pytest.raises(TrainingError, match="not finite"):
        write_item_arrays(broken, tmp_path, 11, 3, PLENTY, tile_items=4)
    with pytest.raises(MissingInputError):
        ItemMatrix.open(tmp_path)


def test_another_rank_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rank 4"):
        write_item_arrays(VECTORS, tmp_path, 11, 4, PLENTY)
