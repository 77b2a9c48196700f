"""Validation metric over all ranks, for early stopping and the choice of the best weights."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys_spark.core.csr import Csr
from recsys_spark.metrics import ranking as metrics
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Network
from recsys_spark.storage.shard_format import Manifest
from recsys_spark.training.epoch_schedule import Epoch
from recsys_spark.training.precision import float32_products
from recsys_spark.training.ranks import Ranks
from recsys_spark.training.shard_loader import Counts, Rows, check_counts

__all__ = ["TrainingStatistics", "host_batch", "rating_predictions", "to_batch", "top_columns", "validate"]

BLOCK_SCORES = 1 << 24
VALIDATION_ROWS = 512


@dataclass(frozen=True)
class TrainingStatistics:
    """Statistics of the training data.

    `column_counts` (n_columns,) int64 are the entries of each column, `lowest` and `highest` the range of the values.
    `trained` (n_rows,) bool marks rows with entries; None if not computed.
    """

    column_counts: Tensor
    lowest: float
    highest: float
    trained: Tensor | None = None

    @property
    def midpoint(self) -> float:
        """Return the middle of the range: the prediction for rows or columns without training data."""
        return (self.lowest + self.highest) / 2


def host_batch(rows: Rows, n_columns: int) -> Batch:
    """Return the rows as a batch in the memory of the host."""
    entries = rows.entries
    return Batch.from_arrays(rows.numbers, entries.indptr, entries.indices, entries.values, n_columns, rows.side)


def to_batch(rows: Rows, n_columns: int, device: torch.device) -> Batch:
    """Return the rows as a batch, the input of a network."""
    return host_batch(rows, n_columns).to(device)


@torch.no_grad()
def validate(network: Network, folder: Path, manifest: Manifest, statistics: TrainingStatistics, ranks: Ranks) -> float:
    """Return the network's metric over all rows of a validation folder, computed in float32.

    It is the same on every rank. Rows without held-out entries do not count. Raises TrainingError if the loader lost
    rows.
    """
    epoch, counts = Epoch(folder, manifest, VALIDATION_ROWS, ranks.world), Counts()
    sums = np.zeros(2)
    with float32_products():
        for rows in epoch.batches(ranks.rank, counts):
            if len(rows) and rows.held is not None:
                sums += _measure(network, rows, rows.held, statistics, ranks.device)
    read = torch.from_numpy(np.concatenate([sums, counts.as_array()])).to(ranks.device)
    totals = ranks.sum(read).cpu().numpy()
    check_counts(totals[2:].astype(np.int64), manifest, folder)
    mean = float(totals[0] / totals[1]) if totals[1] else float("nan")
    return mean**0.5 if network.metric == "rmse" else mean


def _codes(network: Network, batch: Batch, trained: Tensor | None) -> Tensor:
    """Return the codes of the rows as at inference.

    Rows not seen in training, such as held-out users, get the codes of their histories alone.
    """
    seen = None if trained is None else trained[batch.rows]
    if seen is None or seen.all():
        return network.encode_trained(batch)
    if not seen.any():
        return network.encode(batch)
    return torch.where(seen[:, None], network.encode_trained(batch), network.encode(batch))


def top_columns(network: Network, batch: Batch, rankable: Tensor, k: int, trained: Tensor | None = None) -> Tensor:
    """Return the k best columns of each row, (n, k) int64, best first.

    A row's own entries and columns outside `rankable` (n_columns,) bool are excluded; -1 fills missing places.
    `trained` is that of TrainingStatistics. Columns are scored in blocks, which bounds the number of scores in memory.
    Equal scores have no particular order.
    """
    hidden = network.decode(_codes(network, batch, trained))
    k = min(k, batch.n_columns)
    width = max(k, BLOCK_SCORES // max(1, len(batch)))
    best = [torch.full((len(batch), 0), -torch.inf, device=hidden.device), batch.rows.new_zeros((len(batch), 0))]
    rows = batch.entry_rows()
    for start in range(0, batch.n_columns, width):
        stop = min(start + width, batch.n_columns)
        scores = network.score_block(hidden, start, stop)
        scores[:, ~rankable[start:stop]] = -torch.inf
        inside = (batch.indices >= start) & (batch.indices < stop)
        scores[rows[inside], batch.indices[inside] - start] = -torch.inf
        top = scores.topk(min(k, stop - start), dim=1)
        candidates = torch.cat([best[0], top.values], 1), torch.cat([best[1], top.indices + start], 1)
        places = candidates[0].topk(min(k, candidates[0].shape[1]), dim=1).indices
        best = [candidate.gather(1, places) for candidate in candidates]
    return best[1].masked_fill(best[0] == -torch.inf, -1)


def rating_predictions(
    network: Network, batch: Batch, held: Csr, statistics: TrainingStatistics
) -> NDArray[np.float64]:
    """Return the predicted values of the held-out entries, (nnz,).

    They are clipped to the range of the training values. Rows or columns without training data get its midpoint.
    """
    hidden = network.decode(_codes(network, batch, statistics.trained))
    row = torch.from_numpy(np.repeat(np.arange(len(held)), held.lengths())).to(hidden.device)
    column = torch.from_numpy(held.indices.astype(np.int64)).to(hidden.device)
    predicted = network.score_pairs(hidden, row, column).clamp(statistics.lowest, statistics.highest)
    untrained = (batch.lengths()[row] == 0) | (statistics.column_counts[column] == 0)
    return torch.where(untrained, statistics.midpoint, predicted).double().cpu().numpy()


def _measure(
    network: Network, rows: Rows, held: Csr, statistics: TrainingStatistics, device: torch.device
) -> NDArray[np.float64]:
    """Return (sum, count) of squared errors, or of the rows' values of a ranking metric."""
    batch = to_batch(rows, statistics.column_counts.numel(), device)
    if network.metric == "rmse":
        errors = rating_predictions(network, batch, held, statistics) - held.values
        return np.array([np.square(errors).sum(), errors.size])
    metric = metrics.parse_metric(network.metric)
    assert metric.k is not None
    columns = top_columns(network, batch, statistics.column_counts > 0, metric.k, statistics.trained).cpu().numpy()
    hits = _hits(columns, held, batch.n_columns)
    values = metrics.RANKING_METRICS[metric.name](hits, held.lengths(), metric.k)
    return np.array([np.nansum(values), np.isfinite(values).sum()])


def _hits(columns: NDArray[np.int64], held: Csr, n_columns: int) -> NDArray[np.bool_]:
    """Return a mask of the list places that hold held-out columns, (n, k)."""
    row = np.arange(len(held))
    relevant = np.repeat(row, held.lengths()) * n_columns + held.indices
    return np.isin(row[:, None] * n_columns + columns, relevant) & (columns >= 0)
