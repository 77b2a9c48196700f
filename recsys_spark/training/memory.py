"""Memory of a network in training, compared with a limit before training starts.

Users x width and items x width arrays are dense: with every weight go its gradient, the optimiser's state and the
running average. An array above the memory of the process would end it without a message.
"""

import math
from pathlib import Path

import torch

from recsys_spark.core.errors import ConfigError
from recsys_spark.networks.network import Network, Shape
from recsys_spark.networks.settings.network import NetworkSettings
from recsys_spark.storage.shard_format import Manifest
from recsys_spark.training.spec import TrainSpec

__all__ = ["check_network_memory", "training_bytes"]

FLOAT_BYTES = 4


def check_network_memory(spec: TrainSpec, max_bytes: int) -> None:
    """Check that the weights of a training run and their copies fit into `max_bytes`.

    Raises ConfigError with the largest array and the settings to change.
    """
    manifest = Manifest.read(Path(spec.train_folder))
    with torch.device("meta"):
        network = spec.network(Shape(manifest.n_rows, manifest.n_columns, manifest.side_features))
    needed = training_bytes(network)
    if needed > max_bytes:
        name, largest = max(network.named_parameters(), key=lambda named: named[1].numel())
        raise ConfigError(
            f"{spec.kind} with {manifest.n_rows:,} rows and {manifest.n_columns:,} columns needs {needed:,} bytes in "
            f"each process for its weights and their copies, mostly for {name} of "
            f"{' x '.join(map(str, largest.shape))}, more than training.max_network_bytes ({max_bytes:,}): "
            f"lower models.{spec.kind}.{network.width_setting}, "
            "raise training.max_network_bytes if the processes have the memory, or choose another model.kind"
        )


def training_bytes(network: Network) -> int:
    """Return the bytes of the weights, gradients, optimiser states and running averages, without activations."""
    settings: NetworkSettings = network.settings
    states = 1 if getattr(settings, "optimizer", "adam") == "sgd" else 2
    copies = 2 + states + int(settings.average > 0)
    return copies * FLOAT_BYTES * sum(math.prod(weight.shape) for weight in network.parameters())
