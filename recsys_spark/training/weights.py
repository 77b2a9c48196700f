"""Files of trained networks: safetensors and JSON, which cannot run code when loaded."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from recsys_spark.core.atomic_files import atomic_write, remove_drafts, write_json
from recsys_spark.core.errors import MissingInputError
from recsys_spark.networks.network import Network, Shape, load_network
from recsys_spark.training.spec import TrainSpec
from recsys_spark.training.validation import TrainingStatistics

__all__ = ["StoredNetwork", "cached_network", "load_network_weights", "save_network"]

WEIGHTS = "weights.safetensors"
DESCRIPTION = "network.json"


@dataclass(frozen=True)
class StoredNetwork:
    """Trained network in evaluation mode, and statistics of its training data."""

    network: Network
    statistics: TrainingStatistics


def save_network(spec: TrainSpec, network: Network, statistics: TrainingStatistics) -> None:
    """Write weights and description into the folder of a training run.

    The description is written last and marks the weights as complete.
    """
    folder = Path(spec.folder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    # Drafts of a killed process are as large as the weights.
    remove_drafts(folder)
    with atomic_write(folder / WEIGHTS) as draft:
        save_file(tensors, draft)
    description: dict[str, Any] = {"kind": spec.kind, "settings": spec.settings, "shape": list(network.shape)}
    description |= {"lowest": statistics.lowest, "highest": statistics.highest}
    write_json(folder / DESCRIPTION, description)


def load_network_weights(folder: Path) -> StoredNetwork:
    """Load the network of a folder in evaluation mode, with memory-mapped weights.

    Raises MissingInputError if there is none.
    """
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
        tensors = load_file(folder / WEIGHTS)
    except (OSError, ValueError) as error:
        raise MissingInputError(f"{folder} holds no trained network: run train_torch_model again ({error})") from None
    kind = load_network(description["kind"])
    with torch.device("meta"):
        network = kind(kind.Settings.model_validate(description["settings"]), Shape(*description["shape"]))
    network.load_state_dict(tensors, assign=True)
    network.eval()
    return StoredNetwork(
        network, TrainingStatistics(network.column_counts, description["lowest"], description["highest"])
    )


@lru_cache(maxsize=2)
def cached_network(folder: str) -> StoredNetwork:
    """Return the network of a folder, loaded once per executor process.

    It sets torch to one thread, because a Spark task has one core.
    """
    torch.set_num_threads(1)
    return load_network_weights(Path(folder))
