"""Process group of training: torchrun's environment, and communication between ranks."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from recsys_spark.core.errors import TrainingError

__all__ = ["Ranks", "joined_ranks"]


@dataclass(frozen=True)
class Ranks:
    """Position of this process in the process group."""

    rank: int
    world: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Return True for the process that writes files and reports."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum over all ranks, on every rank, in place."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def sum_on_hosts(self, *values: float) -> list[float]:
        """Return the sums of some numbers over all ranks, without waiting for the GPUs."""
        return self.sum(torch.tensor(values, dtype=torch.float64)).tolist() if self.world > 1 else list(values)

    def largest(self, tensor: Tensor) -> Tensor:
        """Return the element-wise maximum over all ranks, on every rank, in place."""
        if self.world > 1:
            dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return tensor

    def wait(self) -> None:
        """Wait for all ranks."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def joined_ranks(use_gpu: bool, timeout_minutes: float) -> Iterator[Ranks]:
    """Join the process group of torchrun's environment; without one, the group is this process.

    Raises TrainingError if a GPU is required and this process sees none of its own.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    device = torch.device("cpu")
    if use_gpu:
        device = _own_gpu(rank)
        torch.cuda.set_device(device)
    if world == 1:
        yield Ranks(0, 1, device)
        return
    # With GPUs, gloo carries what the hosts exchange, and nccl the tensors on the GPUs.
    backend, of_group = ("cpu:gloo,cuda:nccl", device) if use_gpu else ("gloo", None)
    dist.init_process_group(backend, timeout=timedelta(minutes=timeout_minutes), device_id=of_group)
    yield Ranks(rank, world, device)
    # Skipped after an error: destroying the group may wait for other ranks, which wait for this process to end.
    dist.destroy_process_group()


def _own_gpu(rank: int) -> torch.device:
    number, visible = int(os.environ.get("LOCAL_RANK", "0")), os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
    present = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if number >= present:
        raise TrainingError(
            f"rank {rank} is process {number} of {socket.gethostname()} and sees {present} GPUs there "
            f"(CUDA_VISIBLE_DEVICES is {visible}), where each process needs one of its own: check that a driver and a "
            "torch with CUDA are installed, lower training.processes, or set training.use_gpu to false"
        )
    return torch.device("cuda", number)
