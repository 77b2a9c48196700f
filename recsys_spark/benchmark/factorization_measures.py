"""Measure of training epochs of matrix factorization."""

import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from recsys_spark.benchmark.comparison import Bench, Comparison, take_turns, torch_threads
from recsys_spark.benchmark.training_measures import epoch_seconds, local_training, prepare_training, train_epochs
from recsys_spark.networks.settings.matrix_factorization import FactorizationSettings
from recsys_spark.storage.shard_format import Manifest
from recsys_spark.training.epoch_schedule import Epoch
from recsys_spark.training.shard_loader import Counts, Rows
from recsys_spark.training.spec import TrainSpec

__all__ = ["epoch_matrix_factorization", "read_triples", "train_on_triples"]

Triples = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def epoch_matrix_factorization(bench: Bench) -> Comparison:
    """Compare an epoch of the trainer with a plain loop on triples in memory.

    The trainer reads shards from disk. The loop takes as many steps on shuffled (user, item, rating) triples, with the
    same model and optimiser: lookups of both sides, squared error, and penalties on the looked-up rows.
    """
    size, spec = prepare_training(bench, bench.folder / "factorization", "matrix_factorization")
    triples, n_steps = read_triples(spec)
    with torch_threads(bench.threads) as threads:
        training = local_training(1, threads)
        ours, reference = take_turns(
            bench.repeats,
            lambda: epoch_seconds([line["seconds"] for line in train_epochs(bench, spec, training)]),
            lambda: epoch_seconds(train_on_triples(spec, triples, n_steps)),
        )
    more = {"threads": threads, "steps": n_steps}
    reference_name = "bare torch loop on triples in memory"
    return Comparison("epoch_matrix_factorization", size, ours, reference_name, reference, "<= 1.2", more)


def read_triples(spec: TrainSpec) -> tuple[Triples, int]:
    """Return the entries of the shards, and the number of steps of an epoch.

    Entries are user, item and rating, (nnz,) each.
    """
    folder = Path(spec.train_folder)
    epoch = Epoch(folder, Manifest.read(folder), spec.network_settings().batch_rows, 1, 0)
    blocks = list(epoch.batches(0, Counts()))
    rows = Rows.concat(blocks)
    users = np.repeat(rows.numbers.astype(np.int64), rows.entries.lengths())
    items, ratings = rows.entries.indices.astype(np.int64), rows.entries.values
    return (torch.from_numpy(users), torch.from_numpy(items), torch.from_numpy(ratings)), len(blocks)


def train_on_triples(spec: TrainSpec, triples: Triples, n_steps: int) -> list[float]:
    """Train on triples and return the seconds of each epoch."""
    settings, manifest = spec.network_settings(), Manifest.read(Path(spec.train_folder))
    assert isinstance(settings, FactorizationSettings)
    torch.manual_seed(spec.seed)
    sides = [nn.Embedding(n, settings.rank + 1) for n in (manifest.n_rows, manifest.n_columns)]
    parameters = [weight for side in sides for weight in side.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.0, fused=True)
    seconds = []
    for _ in range(settings.epochs):
        started = time.perf_counter()
        for places in torch.randperm(len(triples[0])).chunk(n_steps):
            user, item, rating = (column[places] for column in triples)
            p, q = sides[0](user), sides[1](item)
            errors = (p[:, :-1] * q[:, :-1]).sum(1) + p[:, -1] + q[:, -1] - rating
            loss = errors.square().mean() + settings.l2 * (p.square().sum(1) + q.square().sum(1)).mean()
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
        seconds.append(time.perf_counter() - started)
    return seconds
