"""The validation metric, on all ranks together: what training is stopped by and the best weights chosen by."""

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
from recsys_spark.training.ranks import Ranks
from recsys_spark.training.shard_loader import Counts, Rows, check_counts

__all__ = ["Observed", "batch_of", "rating_predictions", "top_columns", "validate"]

BLOCK_SCORES = 1 << 24
VALIDATION_ROWS = 512


@dataclass(frozen=True)
class Observed:
    """What the training data say of themselves: entries of each column, (n_columns,) int64; range of the values; which
    rows they hold, (n_rows,) bool, where anybody asks.
    """

    column_counts: Tensor
    lowest: float
    highest: float
    trained: Tensor | None = None

    @property
    def middle(self) -> float:
        """The prediction where nothing is known."""
        return (self.lowest + self.highest) / 2


def batch_of(rows: Rows, n_columns: int, device: torch.device) -> Batch:
    """The rows as a network takes them."""
    entries = rows.entries
    return Batch.of(rows.numbers, entries.indptr, entries.indices, entries.values, n_columns, rows.side).to(device)


@torch.no_grad()
def validate(network: Network, folder: Path, manifest: Manifest, observed: Observed, ranks: Ranks) -> float:
    """The network's metric over all rows of a validation folder, the same on every rank.

    Rows without anything held out do not count. Raises TrainingError when rows were lost on the way.
    """
    epoch, counts = Epoch(folder, manifest, VALIDATION_ROWS, ranks.world), Counts()
    sums = np.zeros(2)
    for rows in epoch.batches(ranks.rank, counts):
        if len(rows) and rows.held is not None:
            sums += _measure(network, rows, rows.held, observed, ranks.device)
    read = torch.from_numpy(np.concatenate([sums, counts.as_array()])).to(ranks.device)
    totals = ranks.sum(read).cpu().numpy()
    check_counts(totals[2:].astype(np.int64), manifest, folder)
    mean = float(totals[0] / totals[1]) if totals[1] else float("nan")
    return mean**0.5 if network.metric == "rmse" else mean


def _codes(network: Network, batch: Batch, trained: Tensor | None) -> Tensor:
    """As they are served: rows that training has not seen, as those of a split that holds users out, are strangers."""
    known = None if trained is None else trained[batch.rows]
    if known is None or known.all():
        return network.encode_trained(batch)
    if not known.any():
        return network.encode(batch)
    return torch.where(known[:, None], network.encode_trained(batch), network.encode(batch))


def top_columns(network: Network, batch: Batch, served: Tensor, k: int, trained: Tensor | None = None) -> Tensor:
    """The k best columns of each row, (n, k) int64, best first; its own entries and columns not served are left out,
    and -1 stands where there are no more. `trained` as in Observed.

    Columns are scored in blocks, so that no more than a bounded number of scores exists at once. Equal scores are
    in no particular order.
    """
    hidden = network.decode(_codes(network, batch, trained))
    k = min(k, batch.n_columns)
    width = max(k, BLOCK_SCORES // max(1, len(batch)))
    best = [torch.full((len(batch), 0), -torch.inf, device=hidden.device), batch.rows.new_zeros((len(batch), 0))]
    rows = batch.entry_rows()
    for start in range(0, batch.n_columns, width):
        stop = min(start + width, batch.n_columns)
        scores = network.score_block(hidden, start, stop)
        scores[:, ~served[start:stop]] = -torch.inf
        inside = (batch.indices >= start) & (batch.indices < stop)
        scores[rows[inside], batch.indices[inside] - start] = -torch.inf
        top = scores.topk(min(k, stop - start), dim=1)
        candidates = torch.cat([best[0], top.values], 1), torch.cat([best[1], top.indices + start], 1)
        places = candidates[0].topk(min(k, candidates[0].shape[1]), dim=1).indices
        best = [candidate.gather(1, places) for candidate in candidates]
    return best[1].masked_fill(best[0] == -torch.inf, -1)


def rating_predictions(network: Network, batch: Batch, held: Csr, observed: Observed) -> NDArray[np.float64]:
    """Predicted values of the held-out entries, (nnz,): within the range of the training values, and its middle for
    rows or columns without training data.
    """
    hidden = network.decode(_codes(network, batch, observed.trained))
    row = torch.from_numpy(np.repeat(np.arange(len(held)), held.lengths())).to(hidden.device)
    column = torch.from_numpy(held.indices.astype(np.int64)).to(hidden.device)
    predicted = network.score_pairs(hidden, row, column).clamp(observed.lowest, observed.highest)
    unknown = (batch.lengths()[row] == 0) | (observed.column_counts[column] == 0)
    return torch.where(unknown, observed.middle, predicted).double().cpu().numpy()


def _measure(network: Network, rows: Rows, held: Csr, observed: Observed, device: torch.device) -> NDArray[np.float64]:
    """(sum, count) of squared errors or of the rows' values of a ranking metric."""
    batch = batch_of(rows, observed.column_counts.numel(), device)
    if network.metric == "rmse":
        errors = rating_predictions(network, batch, held, observed) - held.values
        return np.array([np.square(errors).sum(), errors.size])
    metric = metrics.parse_metric(network.metric)
    assert metric.k is not None
    columns = top_columns(network, batch, observed.column_counts > 0, metric.k, observed.trained).cpu().numpy()
    hits = _hits(columns, held, batch.n_columns)
    values = metrics.RANKING[metric.name](hits, held.lengths(), metric.k)
    return np.array([np.nansum(values), np.isfinite(values).sum()])


def _hits(columns: NDArray[np.int64], held: Csr, n_columns: int) -> NDArray[np.bool_]:
    """Which places of the lists hold something held out, (n, k)."""
    row = np.arange(len(held))
    relevant = np.repeat(row, held.lengths()) * n_columns + held.indices
    return np.isin(row[:, None] * n_columns + columns, relevant) & (columns >= 0)
