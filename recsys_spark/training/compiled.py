"""Compiled forward passes of networks, with the plain one as a replacement."""

import logging
from typing import Any

import torch
from torch import nn

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Loss, Network

__all__ = ["CompiledNetwork"]

log = logging.getLogger(__name__)


class CompiledNetwork(nn.Module):
    """Network whose forward pass is compiled by torch.compile; after a failure of it, the network itself.

    Compiled code draws other random numbers from the same seed, so results differ from those of the network itself
    as by another seed.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        # Batches differ in their numbers of entries, and steps in their number: neither may compile it again.
        self._compiled: Any = torch.compile(network.forward, dynamic=True)

    def forward(self, batch: Batch, step: int) -> Loss:
        """Return the training loss of a batch at a global step."""
        if self._compiled is not None:
            try:
                loss: Loss = self._compiled(batch, step)
                return loss
            except Exception as error:  # the compiler raises many kinds; an error of the network is raised again below
                reason = str(error).strip().splitlines() or [type(error).__name__]
                log.warning("training.compile: torch.compile failed (%s): training without it", reason[0][:200])
                self._compiled = None
                # The failed call may have drawn random numbers.
                torch.manual_seed(torch.initial_seed())
        plain: Loss = self.network(batch, step)
        return plain
