"""Optimisers and the course of their step sizes."""

import math

import torch

from recsys_spark.networks.network import Network, NetworkSettings

__all__ = ["make_optimizer", "set_learning_rate"]


def make_optimizer(network: Network) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019), which without weight decay is Adam, or gradient descent with momentum where
    the settings say `optimizer: sgd`.
    """
    settings = network.settings
    rates = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    groups = list(network.parameter_groups())
    if getattr(settings, "optimizer", "adam") == "sgd":
        return torch.optim.SGD(groups, **rates, momentum=settings.momentum)
    return torch.optim.AdamW(groups, **rates, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, settings: NetworkSettings, epoch: float) -> None:
    """The step size at a point of training, in epochs from the start: a function of that point alone."""
    rate = settings.learning_rate
    if settings.schedule == "cosine":
        rate *= (1 + math.cos(math.pi * min(1.0, epoch / settings.epochs))) / 2
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("rate_factor", 1.0)
