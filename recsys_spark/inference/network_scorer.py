"""Scorer of networks: codes of users, decoded, and dot products with the output layer.

The output layer is an item matrix whose last column is the bias. So scoring, filters and the order of ties are those
of every other model. The matrix may be wider than a user's stored code, because the decoding layers run here.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Network
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.products import dot_scores
from recsys_spark.ranking.scorer import FoldIn, Histories, Origin, Queries, UserBlock
from recsys_spark.ranking.scores import Scores
from recsys_spark.training.weights import cached_network

__all__ = ["NetworkScorer", "append_ones"]


@dataclass(frozen=True)
class NetworkScorer:
    """Scorer of a network whose rows are users; small to pickle."""

    scores_by_product: ClassVar[bool] = True

    folder: str
    matrix: ItemMatrix
    fold_in: FoldIn = "forward"

    def encode(self, users: UserBlock) -> Queries:
        """Return the decoded codes of users, with a last column of ones.

        Codes are the stored ones, or those of the histories for users without one.
        """
        rows, codes = self.vectors(users)
        values = np.zeros((rows.size, self.matrix.rank), np.float32)
        if rows.size:
            with torch.no_grad():
                values = append_ones(cached_network(self.folder).network.decode(torch.from_numpy(codes)).numpy())
        return Queries(rows, values, np.where(users.has_vector()[rows], Origin.MODEL, Origin.FOLD_IN))

    def vectors(self, users: UserBlock) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Return the users with a code, and the codes.

        A user needs a stored code, or a history with at least one item that the network was trained on.
        """
        network = cached_network(self.folder).network
        trained, histories = users.has_vector(), users.histories
        usable = histories.of_items(network.trained_columns.numpy()) & histories.are_given()
        unseen = np.flatnonzero(~trained & (histories.lengths_of(usable) > 0))
        parts: list[tuple[NDArray[np.intp], NDArray[np.float32]]] = []
        if users.vectors is not None:
            parts.append((np.flatnonzero(trained), users.vectors[trained]))
        if unseen.size:
            parts.append((unseen, _encode_histories(network, histories.take(unseen)).numpy()))
        rows = np.sort(np.concatenate([places for places, _ in parts])) if parts else np.empty(0, np.intp)
        codes = np.zeros((rows.size, max((part.shape[1] for _, part in parts), default=0)), np.float32)
        for places, part in parts:
            codes[np.searchsorted(rows, places)] = part
        return rows, codes

    def score(self, queries: NDArray[np.float32]) -> Scores:
        """Return the dot products with the output layer, which include its biases."""
        return dot_scores(self.matrix, queries)


def append_ones(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows with a last column of ones, the factors of the biases."""
    return np.column_stack([rows, np.ones(len(rows), np.float32)])


@torch.no_grad()
def _encode_histories(network: Network, histories: Histories) -> torch.Tensor:
    """Return the codes of histories, (n, d).

    Items newer than the network and pairs without a value are left out, as in training.
    """
    entries = histories.only((histories.item_idx < network.shape.n_columns) & histories.are_given())
    numbers = np.zeros(len(entries), np.int64)
    batch = Batch.from_arrays(numbers, entries.indptr, entries.item_idx, entries.confidence, network.shape.n_columns)
    return network.encode(batch)
