"""Scorer of networks whose scores are not dot products."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import FoldIn, Origin, Queries, UserBlock
from recsys_spark.ranking.scores import Scores, Tile, exclude_items
from recsys_spark.training.weights import cached_network

__all__ = ["PairScorer"]

TILE_ITEMS = 1024
# Bound on the difference between scores of tiles and of single pairs, which sum hundreds of units in other orders.
ERROR = 1e-4


@dataclass(frozen=True)
class PairScorer:
    """Scorer of users with a stored code; small to pickle.

    Items with a zero row in `matrix` have no training data and are excluded.
    """

    folder: str
    matrix: ItemMatrix
    fold_in: FoldIn = "none"

    def encode(self, users: UserBlock) -> Queries:
        """Return the stored codes."""
        rows, codes = self.vectors(users)
        return Queries(rows, codes, np.full(rows.size, Origin.MODEL))

    def vectors(self, users: UserBlock) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Return the users with a stored code, and the codes."""
        rows = np.flatnonzero(users.has_vector())
        return rows, np.zeros((0, 0), np.float32) if users.vectors is None else users.vectors[rows]

    def score(self, queries: NDArray[np.float32]) -> Scores:
        """Return scores by the network: tiles to find candidates, single pairs to order them."""
        hidden = torch.from_numpy(np.ascontiguousarray(queries))

        @torch.no_grad()
        def refine(rows: NDArray[np.intp], item_idx: NDArray[np.int32]) -> NDArray[np.float32]:
            network = cached_network(self.folder).network
            columns = torch.from_numpy(item_idx.astype(np.int64))
            scores: NDArray[np.float32] = network.score_pairs(hidden, torch.from_numpy(rows), columns).numpy()
            return scores

        scores = Scores(len(queries), self._tiles(hidden), refine, ERROR)
        return exclude_items(scores, self.matrix.norms() > 0)

    def _tiles(self, hidden: torch.Tensor) -> Iterator[Tile]:
        network = cached_network(self.folder).network
        n_columns = network.shape.n_columns
        for first in range(0, n_columns, TILE_ITEMS):
            with torch.no_grad():
                scores = network.score_block(hidden, first, min(first + TILE_ITEMS, n_columns))
            yield Tile(first, scores.numpy())
