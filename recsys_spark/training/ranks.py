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

from recsys_spark.core.errors import TrainingError

__all__ = ["Ranks", "joined_ranks", "tensor_float_products"]


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

    Raises TrainingError where a GPU is to be used and this process sees none for itself.
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
    backend, of_group = ("nccl", device) if use_gpu else ("gloo", None)
    dist.init_process_group(backend, timeout=timedelta(minutes=timeout_minutes), device_id=of_group)
    yield Ranks(rank, world, device)
    # Not after an error: to take leave of a group may wait for the others, who wait for this process to end.
    dist.destroy_process_group()


@contextmanager
def tensor_float_products(wanted: bool) -> Iterator[None]:
    """Products of float32 matrices by TensorFloat-32, which keeps 10 bits of each factor and sums in float32.

    Autocast to bfloat16 was given up: it would round losses that are written as products, and recurrent layers would
    run in float16, below whose smallest number their gradients lie.
    """
    before = torch.get_float32_matmul_precision()
    if wanted:
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _own_gpu(rank: int) -> torch.device:
    number, visible = int(os.environ.get("LOCAL_RANK", "0")), os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
    present = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if number >= present:
        raise TrainingError(
            f"rank {rank} is process {number} of {socket.gethostname()} and sees {present} GPUs there "
            f"(CUDA_VISIBLE_DEVICES is {visible}), where each process needs one of its own: see that a driver and a "
            "torch with CUDA are installed, lower training.processes, or set training.use_gpu to false"
        )
    return torch.device("cuda", number)
