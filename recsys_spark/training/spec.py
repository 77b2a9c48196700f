"""Specification of a training run, in plain values that can be passed to other processes."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recsys_spark.networks.network import Network, Shape, load_network
from recsys_spark.networks.settings.network import NetworkSettings

__all__ = ["TrainSpec"]


@dataclass(frozen=True)
class TrainSpec:
    """Specification of one training run of one network.

    `train_folder` and `validation_folder` are shard folders. `folder` receives checkpoints, the log and the weights.
    `threads` 0 leaves the number to torch. `max_steps` ends training after this number of steps, for trials; 0: no
    limit. `stop_after` ends it after this number of epochs, while falling step sizes still follow `epochs` of the
    settings; 0: no limit.
    """

    kind: str
    settings: dict[str, Any]
    seed: int
    train_folder: str
    validation_folder: str | None
    folder: str
    use_gpu: bool = False
    precision: str = "tf32"
    compile: bool = False
    threads: int = 0
    checkpoint_minutes: float = 10.0
    keep_checkpoints: int = 2
    timeout_minutes: float = 10.0
    max_steps: int = 0
    stop_after: int = 0

    def network_settings(self) -> NetworkSettings:
        """Return the settings as an instance of the network's settings class."""
        return load_network(self.kind).Settings.model_validate(self.settings)

    def network(self, shape: Shape) -> Network:
        """Build the untrained network."""
        return load_network(self.kind)(self.network_settings(), shape)

    def fingerprint(self, *manifests: str) -> str:
        """Return a hash of everything that the result depends on.

        Training resumes only from checkpoints of the same fingerprint.
        """
        parts = (self.kind, self.settings, self.seed, manifests)
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a dict, for another process."""
        return asdict(self)

    @property
    def checkpoints(self) -> Path:
        """Return the folder of checkpoints."""
        return Path(self.folder) / "checkpoints"
