"""Products of a block of vectors with all item vectors, tile by tile."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scores import Scores, Tile, exclude_items

__all__ = ["cosine_scores", "dot_scores", "products"]

# The wider the tile, the fewer scores pass the first scan, which has no bound from other tiles. A few hundred rows of
# this many scores fit in the processor's outer cache, also where several tasks share it.
TILE_ITEMS = 4096
UNIT_ROUNDOFF = 2.0**-24


def dot_scores(matrix: ItemMatrix, queries: NDArray[np.float32]) -> Scores:
    """Return dot products of `queries`, (n, rank), with all item vectors.

    Minus infinity for items without a vector. Exact scores are summed in double precision and rounded to float32:
    equal vectors have equal scores in any block.
    """
    norms = matrix.norms()

    def refine(rows: NDArray[np.intp], item_idx: NDArray[np.int32]) -> NDArray[np.float32]:
        return _pair_products(matrix, queries, rows, item_idx).astype(np.float32)

    error = _rounding_error(matrix.rank) * _vector_lengths(queries) * norms.max(initial=0)
    return exclude_items(Scores(len(queries), products(matrix, queries), refine, error), norms > 0)


def cosine_scores(matrix: ItemMatrix, queries: NDArray[np.float32]) -> Scores:
    """Return cosines of `queries` and item vectors, as dot_scores does; no query may be zero."""
    norms = matrix.norms()
    lengths = _vector_lengths(queries)
    inverse = np.divide(1, norms, where=norms > 0, out=np.zeros_like(norms))
    unit = (queries / lengths[:, None]).astype(np.float32)

    def refine(rows: NDArray[np.intp], item_idx: NDArray[np.int32]) -> NDArray[np.float32]:
        products = _pair_products(matrix, queries, rows, item_idx)
        return (products / (lengths[rows] * norms[item_idx])).astype(np.float32)

    tiles = products(matrix, unit, inverse.astype(np.float32))
    error = np.full(len(queries), _rounding_error(matrix.rank))
    return exclude_items(Scores(len(queries), tiles, refine, error), norms > 0)


def products(
    matrix: ItemMatrix, queries: NDArray[np.float32], scale: NDArray[np.float32] | None = None
) -> Iterator[Tile]:
    """Yield products of `queries` with the items, tile by tile; `scale`, (n_items,), multiplies item vectors."""
    buffer = np.empty(len(queries) * TILE_ITEMS, dtype=np.float32)
    for number in range(matrix.n_tiles):
        tile = matrix.tile(number)
        for start in range(0, len(tile), TILE_ITEMS):
            first = number * matrix.tile_items + start
            items = tile[start : start + TILE_ITEMS]
            if scale is not None:
                items = items * scale[first : first + len(items), None]
            scores = buffer[: len(queries) * len(items)].reshape(len(queries), len(items))
            yield first, np.matmul(queries, items.T, out=scores)


def _pair_products(
    matrix: ItemMatrix, queries: NDArray[np.float32], rows: NDArray[np.intp], item_idx: NDArray[np.int32]
) -> NDArray[np.float64]:
    products = np.empty(rows.size)
    for places, vectors in matrix.gather(item_idx):
        left = queries.take(rows[places], axis=0)
        products[places] = np.einsum("ij,ij->i", left, vectors, dtype=np.float64)
    return products


def _vector_lengths(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    return lengths


def _rounding_error(rank: int) -> float:
    """Return the largest error of a float32 product of unit vectors.

    The bound has a margin of a few steps for scaling them.
    """
    return (rank + 8) * UNIT_ROUNDOFF
