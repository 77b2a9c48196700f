"""Measures of sparse and batched networks: the first layer, and epochs of SVAE."""

import time
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from recsys_spark.benchmark.comparison import Bench, Comparison, take_turns, timed, torch_threads
from recsys_spark.benchmark.data import describe_size, generate_histories
from recsys_spark.benchmark.reference_loop import train_reference
from recsys_spark.core.csr import Csr
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Shape
from recsys_spark.networks.output_layer import multinomial_loss
from recsys_spark.networks.settings.svae import SvaeSettings
from recsys_spark.networks.sparse_linear import SparseLinear
from recsys_spark.networks.svae import Svae, last_entries, next_entries
from recsys_spark.training.epoch_schedule import WINDOW_STEPS, group_by_length
from recsys_spark.training.shard_loader import Rows

__all__ = ["epoch_svae", "first_layer", "first_layer_3700", "first_layer_100000", "layer_pair", "row_batches"]

ROWS, ENTRIES, WIDTH = 256, 100, 600
STEPS = 5
# The reference takes about 30 ms a user; a third of the users is enough.
SVAE_USERS = 1 / 3


def first_layer_3700(bench: Bench) -> Comparison:
    """Compare first layers with about as many columns as MovieLens 1M has items."""
    return first_layer(bench, "first_layer_3700", 3700, ">= 1")


def first_layer_100000(bench: Bench) -> Comparison:
    """Compare first layers with 100,000 columns, where a dense batch takes 100 MB."""
    return first_layer(bench, "first_layer_100000", 100_000, ">= 5")


def first_layer(bench: Bench, name: str, n_columns: int, goal: str) -> Comparison:
    """Compare forward and backward of SparseLinear with nn.Linear on the dense batch.

    The dense batch is prepared before the clock starts.
    """
    batch, sparse, dense = layer_pair(n_columns, bench.seed)
    full, upstream = batch.dense(), torch.ones(len(batch), WIDTH)

    def step(layer: nn.Module, x: Batch | Tensor) -> None:
        layer.zero_grad(set_to_none=True)
        torch.autograd.backward(layer(x), upstream)

    with torch_threads(bench.threads) as threads:
        ours, reference = take_turns(
            bench.repeats, timed(partial(step, sparse, batch), STEPS), timed(partial(step, dense, full), STEPS)
        )
    size = f"{ROWS} rows x {n_columns:,} columns, {batch.indices.numel():,} entries, width {WIDTH}"
    return Comparison(name, size, ours, "nn.Linear on the dense batch", reference, goal, {"threads": threads})


def layer_pair(n_columns: int, seed: int) -> tuple[Batch, SparseLinear, nn.Linear]:
    """Return a batch with 100 entries a row, and both layers with the same weights."""
    generator = np.random.default_rng(seed)
    length = min(ENTRIES, n_columns)
    indices = np.concatenate([np.sort(generator.choice(n_columns, length, replace=False)) for _ in range(ROWS)])
    values = generator.standard_normal(indices.size, dtype=np.float32)
    batch = Batch.from_arrays(np.arange(ROWS), np.arange(ROWS + 1) * length, indices, values, n_columns)
    sparse, dense = SparseLinear(n_columns, WIDTH), nn.Linear(n_columns, WIDTH)
    with torch.no_grad():
        dense.weight.copy_(sparse.weight.T)
        dense.bias.zero_()
    return batch, sparse, dense


def epoch_svae(bench: Bench) -> Comparison:
    """Compare an epoch of SVAE in batches with one user at a time.

    The paper trains one user at a time. Network and loop are the same. Shares are of forward and backward in batches,
    without the optimiser. The output layer computes its gradients together with the loss, so they count in its share
    and not in that of the backward pass. The share of the GRU is its forward pass.
    """
    rows, settings = generate_histories(bench.n_users(SVAE_USERS), bench.n_items, bench.seed), SvaeSettings()
    shape = Shape(len(rows), bench.n_items)
    single = row_batches(rows, shape.n_columns, 1)
    many = row_batches(order_by_length(rows, settings.batch_rows, bench.seed), shape.n_columns, settings.batch_rows)

    def epoch(batches: list[Batch]) -> float:
        return train_reference(Svae(settings, shape), [batches], bench.seed)[0].seconds

    with torch_threads(bench.threads) as threads:
        ours, reference = take_turns(bench.repeats, partial(epoch, many), partial(epoch, single))
        more = {"threads": threads, "batch_rows": settings.batch_rows, **_time_shares(Svae(settings, shape), many)}
    return Comparison(
        "epoch_svae", describe_size(rows, bench.n_items), ours, "one user at a time", reference, ">= 3", more
    )


def order_by_length(rows: Csr, batch_rows: int, seed: int) -> Csr:
    """Return the rows in the trainer's order, where rows of a batch have similar lengths."""
    generator, window = np.random.default_rng(seed), WINDOW_STEPS * batch_rows
    ordered = []
    for first in range(0, len(rows), window):
        part = rows.between(first, min(first + window, len(rows)))
        sizes = np.diff(np.minimum(np.arange(0, len(part) + batch_rows, batch_rows), len(part)))
        order = generator.permutation(sizes.size)
        ordered += group_by_length(Rows(np.zeros(len(part), np.int32), part), sizes, order)
    return Rows.concat(ordered).entries


def row_batches(rows: Csr, n_columns: int, batch_rows: int) -> list[Batch]:
    """Return the rows in order, as batches of `batch_rows`."""
    edges = [*range(0, len(rows), batch_rows), len(rows)]
    return [_batch(rows, first, last, n_columns) for first, last in pairwise(edges)]


def _batch(rows: Csr, first: int, last: int, n_columns: int) -> Batch:
    part = rows.between(first, last)
    return Batch.from_arrays(np.arange(first, last), part.indptr, part.indices, part.values, n_columns)


def _time_shares(network: Svae, batches: list[Batch]) -> dict[str, float]:
    """Return the time of each part as a share of forward and backward."""
    settings, whole = network.settings, 0.0
    seconds = {"share_output_layer": 0.0, "share_gru": 0.0, "share_backward": 0.0}
    for batch in batches:
        read = last_entries(batch, settings.max_length)
        targets = next_entries(read, settings.next_items)[1]
        hidden = torch.randn(len(targets), settings.hidden, requires_grad=True)
        padded = torch.randn(int(read.lengths().max()), len(read), settings.embedding, requires_grad=True)
        output = partial(multinomial_loss, hidden, network.output_weight, network.output_bias, targets)
        seconds["share_output_layer"] += timed(output)()
        seconds["share_gru"] += timed(partial(network.gru, padded))()
        network.zero_grad(set_to_none=True)
        started = time.perf_counter()
        loss = network(batch, 0).total
        backward = timed(partial(torch.autograd.backward, loss))()
        whole += time.perf_counter() - started
        seconds["share_backward"] += backward
    return {name: part / whole for name, part in seconds.items()}
