"""Item matrices made without Spark, for tests of their readers."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scores import Scores

MakeMatrix = Callable[..., ItemMatrix]


def all_scores(scores: Scores, n_items: int) -> NDArray[np.float32]:
    """Return the scores of tiles by item_idx, (n_rows, n_items); minus infinity for an item in no tile."""
    found = np.full((scores.n_rows, n_items), -np.inf, dtype=np.float32)
    for tile in scores.tiles:
        positions = np.arange(tile.first, tile.first + tile.scores.shape[1])
        items = positions if scores.order is None else scores.order.item_idx[positions]
        rows = np.arange(scores.n_rows) if tile.rows is None else tile.rows
        found[rows[:, None], items] = tile.scores
    return found


@pytest.fixture
def make_matrix(tmp_path: Path) -> MakeMatrix:
    """Return a function that writes vectors in the format of the executors."""

    def make(vectors: NDArray[np.floating], tile_items: int = 4096) -> ItemMatrix:
        folder = tmp_path / f"matrix-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        n_items, rank = vectors.shape
        for number, first in enumerate(range(0, n_items, tile_items)):
            np.save(folder / f"tile-{number:05d}.npy", vectors[first : first + tile_items].astype(np.float32))
        shape = {"n_items": n_items, "rank": rank, "tile_items": tile_items}
        (folder / "manifest.json").write_text(json.dumps({"format": 1, "version": folder.name, **shape}))
        return ItemMatrix.open(folder)

    return make
