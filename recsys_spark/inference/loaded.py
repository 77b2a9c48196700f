"""Trained networks in the processes of executors: opened once a process, weights mapped from one file."""

from functools import lru_cache
from pathlib import Path

import torch

from recsys_spark.training.weights import StoredNetwork, load_network_weights

__all__ = ["loaded_network"]


@lru_cache(maxsize=2)
def loaded_network(folder: str) -> StoredNetwork:
    """The network of a model's folder. A task has one core, so torch gets one thread."""
    torch.set_num_threads(1)
    return load_network_weights(Path(folder))
