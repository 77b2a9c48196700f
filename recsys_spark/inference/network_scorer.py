"""A network as recommending sees it: codes of users, and dot products of what the output layer multiplies.

The output layer is an item matrix whose last column is the bias, so scoring, filters and ties are those of every
other model. The matrix may be wider than a user's stored code: the layers in between run here.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from recsys_spark.inference.loaded import loaded_network
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Network
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.products import dot_scores
from recsys_spark.ranking.scorer import FoldIn, Histories, Origin, Queries, UserBlock
from recsys_spark.ranking.scores import Scores

__all__ = ["NetworkScorer", "with_ones"]


@dataclass(frozen=True)
class NetworkScorer:
    """Scores of a network whose rows are users; small to pickle."""

    by_products: ClassVar[bool] = True

    folder: str
    matrix: ItemMatrix
    fold_in: FoldIn = "forward"

    def encode(self, users: UserBlock) -> Queries:
        """Stored codes where there are any, codes of the histories otherwise; then the layers behind the code."""
        rows, codes = self.vectors(users)
        values = np.zeros((rows.size, self.matrix.rank), np.float32)
        if rows.size:
            with torch.no_grad():
                values = with_ones(loaded_network(self.folder).network.decode(torch.from_numpy(codes)).numpy())
        return Queries(rows, values, np.where(users.has_vector()[rows], Origin.MODEL, Origin.FOLD_IN))

    def vectors(self, users: UserBlock) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Codes of the users that it can serve."""
        network = loaded_network(self.folder).network
        trained, histories = users.has_vector(), users.histories
        known = histories.lengths_of(histories.of_items(network.served_columns.numpy()) & histories.are_given())
        strangers = np.flatnonzero(~trained & (known > 0))
        parts: list[tuple[NDArray[np.intp], NDArray[np.float32]]] = []
        if users.vectors is not None:
            parts.append((np.flatnonzero(trained), users.vectors[trained]))
        if strangers.size:
            parts.append((strangers, _codes(network, histories.take(strangers)).numpy()))
        rows = np.sort(np.concatenate([places for places, _ in parts])) if parts else np.empty(0, np.intp)
        codes = np.zeros((rows.size, max((part.shape[1] for _, part in parts), default=0)), np.float32)
        for places, part in parts:
            codes[np.searchsorted(rows, places)] = part
        return rows, codes

    def score(self, queries: NDArray[np.float32]) -> Scores:
        """Dot products, biases included."""
        return dot_scores(self.matrix, queries)


def with_ones(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows with a last column of ones, which meets the biases."""
    return np.column_stack([rows, np.ones(len(rows), np.float32)])


@torch.no_grad()
def _codes(network: Network, histories: Histories) -> torch.Tensor:
    """Codes of histories; items newer than the network are left out, and what was not rated as in training."""
    known = histories.only((histories.item_idx < network.shape.n_columns) & histories.are_given())
    numbers = np.zeros(len(known), np.int64)
    batch = Batch.of(numbers, known.indptr, known.item_idx, known.confidence, network.shape.n_columns)
    return network.encode(batch)
