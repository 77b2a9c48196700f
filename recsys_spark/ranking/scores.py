"""Scores of a block of rows for every item, tile by tile, and exclusions."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scores", "Tile", "exclude_items", "exclude_pairs"]

Tile = tuple[int, NDArray[np.float32]]


@dataclass(frozen=True)
class Scores:
    """Scores of a block of rows, users or items, for every item.

    `tiles` yields (first item_idx, scores (n_rows, width)) by ascending item; each array is overwritten by the next
    one and may be changed in place. `refine(rows, item_idx)` returns exact scores of single pairs, float32 of shape
    (n,); a tile may differ from them by at most `error`, (n_rows,). Without `refine` the scores of tiles are exact.
    """

    n_rows: int
    tiles: Iterable[Tile]
    refine: Callable[[NDArray[np.intp], NDArray[np.int32]], NDArray[np.float32]] | None = None
    error: NDArray[np.float32] | float = 0.0


def exclude_items(scores: Scores, allowed: NDArray[np.bool_]) -> Scores:
    """Exclude the items whose place in `allowed`, (n_items,), is False."""
    penalty = np.where(allowed, np.float32(0), np.float32(-np.inf))

    def tiles() -> Iterator[Tile]:
        for first, tile in scores.tiles:
            part = penalty[first : first + tile.shape[1]]
            yield first, np.add(tile, part, out=tile) if part.any() else tile

    return replace(scores, tiles=tiles())


def exclude_pairs(scores: Scores, rows: NDArray[np.integer[Any]], item_idx: NDArray[np.integer[Any]]) -> Scores:
    """Exclude single (row, item) pairs, in any order, such as a user's played items."""
    # One sort of packed pairs is many times faster than an argsort by item.
    packed = np.sort((item_idx.astype(np.int64) << 32) | rows.astype(np.int64))
    items, rows_by_item = packed >> 32, packed & 0xFFFFFFFF

    def tiles() -> Iterator[Tile]:
        for first, tile in scores.tiles:
            start, stop = np.searchsorted(items, (first, first + tile.shape[1]))
            tile[rows_by_item[start:stop], items[start:stop] - first] = -np.inf
            yield first, tile

    return replace(scores, tiles=tiles())
