"""Scores of a block of rows for every item, tile by tile, and exclusions."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys_spark.ranking.norm_order import NormOrder

__all__ = ["Scores", "Tile", "exclude_items", "exclude_pairs"]

Integers = NDArray[np.integer[Any]]


class Tile(NamedTuple):
    """Scores (n, width) of the items at positions [first, first + width).

    `rows` (n,) are ascending rows of the block, None for all of it. A row that is left out is left out of later tiles.
    """

    first: int
    scores: NDArray[np.float32]
    rows: NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Scores:
    """Scores of a block of rows, users or items, for every item.

    `tiles` yields tiles by ascending position; each array is overwritten by the next one and may be changed in place.
    The position of an item is its item_idx, or its place in `order`, which lacks items without a score.
    `refine(rows, item_idx)` returns exact scores of single pairs, float32 of shape (n,); a tile may differ from them by
    at most `error`, (n_rows,). Without `refine` the scores of tiles are exact.

    The reader of the tiles raises `floors`, (n_rows,), in place: scores that are not above it have no effect, so that
    further tiles may leave out rows without others. It is None where tiles leave out nothing.
    """

    n_rows: int
    tiles: Iterable[Tile]
    refine: Callable[[NDArray[np.intp], NDArray[np.int32]], NDArray[np.float32]] | None = None
    error: NDArray[np.floating[Any]] | float = 0.0
    order: NormOrder | None = None
    floors: NDArray[np.float32] | None = None


def exclude_items(scores: Scores, allowed: NDArray[np.bool_]) -> Scores:
    """Exclude the items whose place in `allowed`, (n_items,), is False."""
    penalty = np.where(allowed, np.float32(0), np.float32(-np.inf))
    if scores.order is not None:
        penalty = penalty[scores.order.item_idx]

    def tiles() -> Iterator[Tile]:
        for tile in scores.tiles:
            part = penalty[tile.first : tile.first + tile.scores.shape[1]]
            if part.any():
                np.add(tile.scores, part, out=tile.scores)
            yield tile

    return replace(scores, tiles=tiles())


def exclude_pairs(scores: Scores, rows: Integers, item_idx: Integers) -> Scores:
    """Exclude single (row, item) pairs, in any order, such as a user's played items.

    Pairs of items outside the tiles have no effect.
    """
    if scores.order is not None:
        known = item_idx < scores.order.position.size
        rows, item_idx = rows[known], scores.order.position[item_idx[known]]

    def tiles() -> Iterator[Tile]:
        place_of_row = np.arange(scores.n_rows)
        left_rows, positions = rows, item_idx
        for tile in scores.tiles:
            if tile.rows is not None:
                place_of_row[:] = -1
                place_of_row[tile.rows] = np.arange(tile.rows.size)
            # Few scans of all pairs that are left cost less than sorting them by position.
            is_here = positions < tile.first + tile.scores.shape[1]
            places, columns = place_of_row[left_rows[is_here]], positions[is_here] - tile.first
            inside = places >= 0
            tile.scores[places[inside], columns[inside]] = -np.inf
            yield tile
            left_rows, positions = left_rows[~is_here], positions[~is_here]

    return replace(scores, tiles=tiles())
