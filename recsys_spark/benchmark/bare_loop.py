"""The plainest training loop there is: batches in memory, nothing checked and nothing kept."""

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Network
from recsys_spark.training.epoch_schedule import mix
from recsys_spark.training.optimizers import make_optimizer

__all__ = ["Pass", "bare_loop"]


class Pass(NamedTuple):
    """Seconds and mean loss of an epoch."""

    seconds: float
    loss: float


def bare_loop(network: Network, epochs: Iterable[Sequence[Batch]], seed: int) -> list[Pass]:
    """Trains the network on the batches of each epoch.

    Draws the random numbers that the trainer draws for this seed in one process, so that the losses can be compared.
    """
    optimizer = make_optimizer(network)
    network.train()
    passes, step = [], 0
    for batches in epochs:
        started, total, count = time.perf_counter(), 0.0, 0.0
        for batch in batches:
            torch.manual_seed(mix(seed, step, 0))
            loss = network(batch, step)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss.total / loss.count)
            optimizer.step()
            total, count, step = total + loss.total.item(), count + loss.count.item(), step + 1
        passes.append(Pass(time.perf_counter() - started, total / count))
    return passes
