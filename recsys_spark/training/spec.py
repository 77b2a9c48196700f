"""What a training run is told, as plain values: it crosses process borders as JSON."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recsys_spark.networks.network import Network, NetworkSettings, Shape, load_network

__all__ = ["TrainSpec"]


@dataclass(frozen=True)
class TrainSpec:
    """One training run of one network.

    `train_folder` and `validation_folder` are shard folders, `folder` is where checkpoints, the log and the weights
    go. `threads` 0 leaves the number to torch. `max_steps` ends training after so many steps, for trials; 0: never.
    `stop_after` ends it after so many epochs, of which `epochs` of the settings remains the plan (for step sizes
    that fall); 0: at its end.
    """

    kind: str
    settings: dict[str, Any]
    seed: int
    train_folder: str
    validation_folder: str | None
    folder: str
    use_gpu: bool = False
    mixed_precision: bool = True
    threads: int = 0
    checkpoint_minutes: float = 10.0
    keep_checkpoints: int = 2
    timeout_minutes: float = 10.0
    max_steps: int = 0
    stop_after: int = 0
    tracking_uri: str | None = None

    def network_settings(self) -> NetworkSettings:
        """The settings as the network declares them."""
        return load_network(self.kind).Settings.model_validate(self.settings)

    def network(self, shape: Shape) -> Network:
        """The untrained network."""
        return load_network(self.kind)(self.network_settings(), shape)

    def fingerprint(self, *manifests: str) -> str:
        """A hash of what the result depends on: a checkpoint of another one cannot be gone on from."""
        parts = (self.kind, self.settings, self.seed, manifests)
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """For another process."""
        return asdict(self)

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints go."""
        return Path(self.folder) / "checkpoints"
