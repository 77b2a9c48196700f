"""Batches of an epoch on the device of training, copied one step ahead.

On a GPU the batch of the next step is put into page-locked memory and copied by a stream of its own, while the GPU
computes the current step. On a CPU a batch is made when its step begins. Both give the same batches in the same order.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Network
from recsys_spark.training.shard_loader import Rows
from recsys_spark.training.validation import host_batch

__all__ = ["Loaded", "load_batches", "one_ahead"]

T = TypeVar("T")
Started = TypeVar("Started")


@dataclass(frozen=True)
class Loaded:
    """Batch of a step on the device of training, with values for the host.

    `numbers` are the numbers of its rows, `count` is the network's loss_count.
    """

    numbers: NDArray[np.int32]
    count: float
    batch: Batch


def load_batches(rows: Iterable[Rows], network: Network, device: torch.device) -> Iterator[Loaded]:
    """Yield the rows of each step as a batch on `device`."""
    if device.type != "cuda":
        for part in rows:
            loaded = _on_host(part, network)
            yield replace(loaded, batch=loaded.batch.to(device))
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def start(part: Rows) -> Loaded:
        loaded = _on_host(part, network)
        with torch.cuda.stream(stream):
            return replace(loaded, batch=loaded.batch.pinned().to(device))

    for loaded in one_ahead(rows, start):
        step = torch.cuda.current_stream(device)
        step.wait_stream(stream)
        for tensor in loaded.batch.tensors().values():
            # Its memory was allocated for the stream of copies, and must not be reused before the step has read it.
            tensor.record_stream(step)
        yield loaded


def one_ahead(items: Iterable[T], start: Callable[[T], Started]) -> Iterator[Started]:
    """Yield start(item) of each item; the next item is started before one is yielded."""
    waiting: list[Started] = []
    for item in items:
        waiting.append(start(item))
        if len(waiting) > 1:
            yield waiting.pop(0)
    yield from waiting


def _on_host(rows: Rows, network: Network) -> Loaded:
    batch = host_batch(rows, network.shape.n_columns)
    return Loaded(rows.numbers, float(network.loss_count(batch)), batch)
