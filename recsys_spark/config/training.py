"""Settings of models, shards and the training of networks."""

from typing import Literal

from pydantic import Field

from recsys_spark.config.source import Section
from recsys_spark.config.split import Fit
from recsys_spark.core.names import all_kinds

__all__ = ["ModelSettings", "ShardsSettings", "TrainingSettings"]


class ModelSettings(Section):
    """Section `model`."""

    kind: str = Field("als", description=f"Kind of model: {', '.join(all_kinds())}.")
    version: str | None = Field(
        None, pattern=r"^[a-z0-9_]+-[0-9a-f]{12}$", description="Model version; unset: the newest of the kind."
    )
    fit: Fit = Field(
        "train",
        description="Data to train on: the training part of the split (train), or, for the final fit, the training and"
        " validation parts (train_and_validation) or all interactions (everything). Without a split the training part"
        " is all interactions.",
    )


class ShardsSettings(Section):
    """Section `shards`."""

    files: int = Field(
        8,
        ge=1,
        le=10_000,
        description="Files of a shard folder: tasks that write it, and parts that training holds in memory.",
    )


class TrainingSettings(Section):
    """Section `training`."""

    processes: int = Field(1, ge=1, le=1024, description="Processes that train one network in parallel.")
    local: bool = Field(
        True, description="Train on the machine of the driver (true), or on executors with one process a task (false)."
    )
    use_gpu: bool = Field(
        False, description="Train on GPUs, one a process, with NCCL (true), or on CPUs with gloo (false)."
    )
    precision: Literal["float32", "tf32", "bfloat16"] = Field(
        "tf32",
        description="Precision of matrix products in training: float32, tf32 (TensorFloat-32, on GPUs alone) or"
        " bfloat16, for networks with a ranking metric; those measured by rmse use tf32 instead. Weights, losses and"
        " validation are float32 in all of them.",
    )
    compile: bool = Field(
        False, description="Compile the forward pass with torch.compile; a failure is a warning, and training goes on."
    )
    threads: int = Field(
        0, ge=0, description="Threads of each process on a CPU; 0: the cores of the machine divided by the processes."
    )
    retries: int = Field(2, ge=0, le=100, description="Restarts after the loss of a process or executor.")
    timeout_minutes: float = Field(10, gt=0, description="Maximum wait of a process for the others.")
    checkpoint_minutes: float = Field(
        10, gt=0, description="Interval of checkpoints within an epoch; each epoch also ends with one."
    )
    keep_checkpoints: int = Field(
        2, ge=1, description="Number of newest checkpoints to keep; the best weights are kept as well."
    )
    max_steps: int = Field(
        0, ge=0, description="Stop after this number of steps, to test a size; no model is stored. 0: no limit."
    )
    max_network_bytes: int = Field(
        16 << 30,
        ge=1,
        description="Maximum memory of a process for the weights of a network, their gradients, the optimiser's state"
        " and the running average (bytes); users x width arrays are dense.",
    )
