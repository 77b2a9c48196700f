"""Optimisation steps of a network on one rank: loss, gradients of all ranks, update of the weights."""

import torch
from torch.nn.parallel import DistributedDataParallel

from recsys_spark.networks.network import Loss, Network
from recsys_spark.training.averages import RunningAverage
from recsys_spark.training.compiled import CompiledNetwork
from recsys_spark.training.optimizers import make_optimizer
from recsys_spark.training.precision import Precision
from recsys_spark.training.prefetch import Loaded
from recsys_spark.training.ranks import Ranks

__all__ = ["GradientSteps"]


class GradientSteps:
    """Optimiser of a network, and the running average of its weights.

    `module` is the network as a step calls it: compiled, or with gradients of all ranks. `epoch_steps` are the steps
    of an epoch.
    """

    def __init__(
        self, network: Network, ranks: Ranks, epoch_steps: int, precision: Precision, compiled: bool = False
    ) -> None:
        self.network, self.ranks, self.precision = network, ranks, precision
        self.module: torch.nn.Module = CompiledNetwork(network) if compiled else network
        if ranks.world > 1:
            self.module = DistributedDataParallel(self.module, broadcast_buffers=False, gradient_as_bucket_view=True)
        self.optimizer = make_optimizer(network, epoch_steps)
        self.average = RunningAverage(network, network.settings.average)

    def take(self, loaded: Loaded, global_step: int, count: float) -> Loss:
        """Take a step and return the loss of this rank; `count` is the sum of the counts of all ranks.

        Nothing here waits for the GPU. A count of 0 leaves the weights as they are.
        """
        with self.precision.rounding():
            loss: Loss = self.module(loaded.batch, global_step)
        if count > 0:
            self.optimizer.zero_grad(set_to_none=True)
            # DDP averages the gradients of the ranks; the loss must be divided by the sum of their counts.
            torch.autograd.backward(loss.total * (self.ranks.world / count))
            clip_norm = self.network.settings.clip_norm
            if clip_norm:
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), clip_norm)
            self.optimizer.step()
            self.average.update(global_step)
        return loss
