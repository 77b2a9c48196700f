"""Products of a block of vectors with all item vectors, tile by tile."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.norm_order import NormOrder, order_by_norm
from recsys_spark.ranking.scores import Scores, Tile, exclude_items

__all__ = ["cosine_scores", "dot_scores"]

# The wider the tile, the fewer scores pass the first scan, which has no bound from other tiles. A few hundred rows of
# this many scores fit in the processor's outer cache, also where several tasks share it.
TILE_ITEMS = 4096
# With bounds a first tile sets the floors. Later ones are wider, as far as their scores fit in the cache.
FIRST_TILE_ITEMS = 1024
TILE_SCORES = 1 << 20
# Vectors of this many pairs fit in the processor's inner caches.
CHUNK_PAIRS = 1024
UNIT_ROUNDOFF = 2.0**-24


def dot_scores(matrix: ItemMatrix, queries: NDArray[np.float32]) -> Scores:
    """Return dot products of `queries`, (n, rank), with all item vectors.

    Items without a vector have no score. The others come by descending norm, and tiles leave out rows whose floor no
    further item can pass. Exact scores are summed in double precision and rounded to float32: equal vectors have equal
    scores in any block.
    """
    order, lengths = order_by_norm(matrix), _vector_lengths(queries)

    def refine(rows: NDArray[np.intp], item_idx: NDArray[np.int32]) -> NDArray[np.float32]:
        return _pair_products(order, queries, rows, item_idx).astype(np.float32)

    error = _rounding_error(matrix.rank) * lengths * order.norms.max(initial=0)
    floors = np.full(len(queries), -np.inf, dtype=np.float32)
    tiles = _bounded_products(order, queries, lengths, error, floors)
    return Scores(len(queries), tiles, refine, error, order, floors)


def cosine_scores(matrix: ItemMatrix, queries: NDArray[np.float32]) -> Scores:
    """Return cosines of `queries` and item vectors, exact scores as in dot_scores; no query may be zero.

    Minus infinity for items without a vector. All norms are equal, so there is nothing to leave out.
    """
    order, norms, lengths = order_by_norm(matrix), matrix.norms(), _vector_lengths(queries)
    inverse = np.divide(1, norms, where=norms > 0, out=np.zeros_like(norms))
    unit = (queries / lengths[:, None]).astype(np.float32)

    def refine(rows: NDArray[np.intp], item_idx: NDArray[np.int32]) -> NDArray[np.float32]:
        products = _pair_products(order, queries, rows, item_idx)
        return (products / (lengths[rows] * norms[item_idx])).astype(np.float32)

    tiles = _scaled_products(matrix, unit, inverse.astype(np.float32))
    error = np.full(len(queries), _rounding_error(matrix.rank))
    return exclude_items(Scores(len(queries), tiles, refine, error), norms > 0)


def _bounded_products(
    order: NormOrder,
    queries: NDArray[np.float32],
    lengths: NDArray[np.float64],
    error: NDArray[np.float64],
    floors: NDArray[np.float32],
) -> Iterator[Tile]:
    """Yield products by position of items.

    Rows are left out as soon as no further item can have a score above their floors.
    """
    buffer = np.empty(max(TILE_SCORES, len(queries)), dtype=np.float32)
    rows, first = np.arange(len(queries)), 0
    while True:
        # |u| |v| + error <= floor: neither the exact product nor that of a tile is above the floor.
        with np.errstate(invalid="ignore", divide="ignore"):
            ends = order.count_above((floors[rows] - error[rows]) / lengths[rows])
        kept = ends > first
        if not kept.any():
            return
        if not kept.all():
            rows, queries = rows[kept], queries[kept]
        width = min(max(FIRST_TILE_ITEMS, first // 2), max(1, TILE_SCORES // rows.size))
        items = order.vectors(first, min(first + width, int(ends.max())))
        scores = buffer[: len(rows) * len(items)].reshape(len(rows), len(items))
        yield Tile(first, np.matmul(queries, items.T, out=scores), rows)
        first += len(items)


def _scaled_products(matrix: ItemMatrix, queries: NDArray[np.float32], scale: NDArray[np.float32]) -> Iterator[Tile]:
    """Yield products of `queries` with item vectors multiplied by `scale`, (n_items,), tile by tile."""
    buffer = np.empty(len(queries) * TILE_ITEMS, dtype=np.float32)
    for number in range(matrix.n_tiles):
        tile = matrix.tile(number)
        for start in range(0, len(tile), TILE_ITEMS):
            first = number * matrix.tile_items + start
            items = tile[start : start + TILE_ITEMS]
            items = items * scale[first : first + len(items), None]
            scores = buffer[: len(queries) * len(items)].reshape(len(queries), len(items))
            yield Tile(first, np.matmul(queries, items.T, out=scores))


def _pair_products(
    order: NormOrder, queries: NDArray[np.float32], rows: NDArray[np.intp], item_idx: NDArray[np.int32]
) -> NDArray[np.float64]:
    products, left = np.empty(rows.size), queries.astype(np.float64)
    for start in range(0, rows.size, CHUNK_PAIRS):
        chunk = slice(start, start + CHUNK_PAIRS)
        right = order.vectors_of(item_idx[chunk]).astype(np.float64)
        products[chunk] = np.einsum("ij,ij->i", left.take(rows[chunk], axis=0), right)
    return products


def _vector_lengths(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    return lengths


def _rounding_error(rank: int) -> float:
    """Return the largest error of a float32 product of unit vectors.

    The bound has a margin of a few steps for scaling them.
    """
    return (rank + 8) * UNIT_ROUNDOFF
