"""Optimisers and their step sizes over time."""

import math

import torch

from recsys_spark.networks.network import Network
from recsys_spark.networks.settings.network import NetworkSettings

__all__ = ["make_optimizer", "set_learning_rate", "step_decay"]


def make_optimizer(network: Network, epoch_steps: int) -> torch.optim.Optimizer:
    """Build the optimiser of a network: AdamW, or SGD with momentum for `optimizer: sgd`.

    AdamW (Loshchilov and Hutter 2019) without weight decay is Adam. `epoch_steps` are the steps of an epoch.
    """
    settings = network.settings
    rates = {"lr": settings.learning_rate, "weight_decay": step_decay(settings, epoch_steps)}
    groups = list(network.parameter_groups())
    if getattr(settings, "optimizer", "adam") == "sgd":
        return torch.optim.SGD(groups, **rates, momentum=settings.momentum)
    return torch.optim.AdamW(groups, **rates, fused=True)


def step_decay(settings: NetworkSettings, epoch_steps: int) -> float:
    """Return the weight decay of a step in an epoch of `epoch_steps` steps.

    The decay reaches every weight at every step, but a step has gradients for the rows of its batch alone. So a
    constant decay would erase rarely visited rows on large data. From `decay_steps` on, an epoch loses a constant
    share, as proposed by Wang and Aitchison 2024.
    """
    if settings.decay_steps and epoch_steps > settings.decay_steps:
        return settings.weight_decay * settings.decay_steps / epoch_steps
    return settings.weight_decay


def set_learning_rate(optimizer: torch.optim.Optimizer, settings: NetworkSettings, epoch: float) -> None:
    """Set the step size for a point of training, in epochs from the start.

    It depends on that point alone, so that a resumed run has the same step sizes.
    """
    rate = settings.learning_rate
    if settings.schedule == "cosine":
        rate *= (1 + math.cos(math.pi * min(1.0, epoch / settings.epochs))) / 2
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("rate_factor", 1.0)
