"""The processes that train together: the one place that reads torchrun's environment and talks to the others."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from recsys_spark.errors import TrainingError

__all__ = ["Ranks", "joined_ranks"]


@dataclass(frozen=True)
class Ranks:
    """This process among the others."""

    rank: int
    world: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all ranks, on every rank, in place."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def largest(self, tensor: Tensor) -> Tensor:
        """The largest of all ranks, element by element, on every rank, in place."""
        if self.world > 1:
            dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return tensor

    def wait(self) -> None:
        """Until all are here."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def joined_ranks(use_gpu: bool, timeout_minutes: float) -> Iterator[Ranks]:
    """Joins the group that torchrun's environment names; without one, this process is alone.

    Raises TrainingError where a GPU is to be used and this process sees none.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    device = torch.device("cpu")
    if use_gpu:
        if not torch.cuda.is_available():
            raise TrainingError(
                f"rank {rank} on {socket.gethostname()} sees no GPU (CUDA_VISIBLE_DEVICES is "
                f"{os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')}): see that its driver and a torch with CUDA are "
                "installed there, or set training.use_gpu to false"
            )
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        torch.cuda.set_device(device)
    if world == 1:
        yield Ranks(0, 1, device)
        return
    dist.init_process_group("nccl" if use_gpu else "gloo", timeout=timedelta(minutes=timeout_minutes))
    try:
        yield Ranks(rank, world, device)
    finally:
        dist.destroy_process_group()
