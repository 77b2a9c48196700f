"""Content of the checkpoints of a run: all that training changes, and the fingerprint of the run."""

import json

from recsys_spark.training.checkpoint import Checkpoint, flatten_optimizer, restore_optimizer
from recsys_spark.training.gradient_steps import GradientSteps
from recsys_spark.training.state import TrainingState

__all__ = ["make_checkpoint", "restore_checkpoint"]


def make_checkpoint(state: TrainingState, steps: GradientSteps, fingerprint: str) -> Checkpoint:
    """Return the checkpoint of a run after its last step."""
    tensors, groups = flatten_optimizer(steps.optimizer)
    kept = {"weights": dict(steps.network.state_dict()), "optimizer": tensors, "average": steps.average.averages}
    stored = {**state.to_json(), "groups": groups, "fingerprint": fingerprint}
    return Checkpoint(state.global_step, kept, {"state": json.dumps(stored)})


def restore_checkpoint(checkpoint: Checkpoint, steps: GradientSteps, fingerprint: str) -> TrainingState:
    """Load weights, optimiser and average of a checkpoint and return its state.

    Raises ValueError for a checkpoint of a run with another fingerprint.
    """
    state = json.loads(checkpoint.state["state"])
    if state.pop("fingerprint") != fingerprint:
        raise ValueError("the fingerprint of the checkpoint differs")
    steps.network.load_state_dict(checkpoint.tensors["weights"])
    restore_optimizer(steps.optimizer, checkpoint.tensors["optimizer"], state.pop("groups"))
    steps.average.load(checkpoint.tensors["average"])
    return TrainingState.from_json(state)
