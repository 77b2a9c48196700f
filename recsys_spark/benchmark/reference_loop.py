"""Minimal torch training loop on batches in memory, without checks or checkpoints."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import torch

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Network
from recsys_spark.training.epoch_schedule import derive_seed
from recsys_spark.training.optimizers import make_optimizer

__all__ = ["EpochResult", "train_reference"]


class EpochResult(NamedTuple):
    """Seconds and mean loss of one epoch."""

    seconds: float
    loss: float


def train_reference(network: Network, epochs: Sequence[Sequence[Batch]], seed: int) -> list[EpochResult]:
    """Train a network on the batches of each epoch.

    Random numbers are those of the trainer with this seed in one process, so that losses can be compared.
    """
    optimizer = make_optimizer(network, len(epochs[0]))
    network.train()
    results, step = [], 0
    for batches in epochs:
        started, total, count = time.perf_counter(), 0.0, 0.0
        for batch in batches:
            torch.manual_seed(derive_seed(seed, step, 0))
            loss = network(batch, step)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss.total / loss.count)
            optimizer.step()
            total, count, step = total + loss.total.item(), count + loss.count.item(), step + 1
        results.append(EpochResult(time.perf_counter() - started, total / count))
    return results
