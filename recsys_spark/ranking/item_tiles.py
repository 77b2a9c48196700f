"""One tile of an item matrix, as an executor writes it: checked, then renamed into place when it is whole."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys_spark.core.atomic_files import atomic_write

__all__ = ["WRITTEN", "tile_name", "write_tile"]

WRITTEN = "tile INT, problem STRING"


def tile_name(number: int) -> str:
    """File name of a tile."""
    return f"tile-{number:05d}.npy"


def write_tile(folder: Path, n_items: int, rank: int, tile_items: int, table: pa.Table) -> pa.Table:
    """Writes the tile whose rows are `table` (tile INT, item_idx INT, vector ARRAY<FLOAT>; null item_idx: no
    item).

    Gives one row (WRITTEN). A problem is returned, since an exception would lose its type on the way to the
    driver.
    """
    number = table["tile"][0].as_py()
    first, last = number * tile_items, min((number + 1) * tile_items, n_items)
    item_idx = table["item_idx"].drop_null().to_numpy()
    vectors = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    problem = _problem(item_idx, vectors, first, last, rank)
    if problem is None:
        tile = np.zeros((last - first, rank), dtype=np.float32)
        tile[item_idx - first] = vectors.reshape(-1, rank)
        _save(tile, folder / tile_name(number))
    return pa.table({"tile": pa.array([number], pa.int32()), "problem": pa.array([problem], pa.string())})


def _problem(item_idx: NDArray[np.int32], vectors: NDArray[np.float32], first: int, last: int, rank: int) -> str | None:
    if ((item_idx < max(first, 0)) | (item_idx >= last)).any():
        return "Some item_idx are not in the item index. Run build_interactions, then train the model again."
    if np.unique(item_idx).size != item_idx.size:
        return "Some items have several vectors. Train the model again."
    if vectors.size != item_idx.size * rank:
        return f"Item vectors differ in length: some are not {rank} long. Train the model again."
    if not np.isfinite(vectors).all():
        return "Some item vectors are not finite. Train again with smaller steps or stronger regularisation."
    return None


def _save(tile: NDArray[np.float32], path: Path) -> None:
    with atomic_write(path) as draft, draft.open("wb") as file:
        np.save(file, tile, allow_pickle=False)
