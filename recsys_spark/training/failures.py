"""How a training process tells the driver why it failed: what is an error of ours is not worth trying again."""

import json
import logging
import os
from pathlib import Path
from typing import Any

from recsys_spark.core.errors import RecsysError, TrainingError
from recsys_spark.training.spec import TrainSpec
from recsys_spark.training.trainer import train

__all__ = ["clear_failure", "told_failure", "train_rank"]

FAILURE = "failure.json"


def train_rank(spec: dict[str, Any]) -> dict[str, Any]:
    """`train` as a process of its own runs it: logs to stderr, and leaves its reason behind when it fails.

    The text that reaches the driver by itself is the tail of a log; a file says it exactly.
    """
    rank = os.environ.get("RANK", "0")
    # Petastorm tells of each file that it did not write itself.
    logging.getLogger("petastorm").setLevel(logging.ERROR)
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s rank {rank}: %(message)s")
    try:
        return train(spec)
    except RecsysError as error:
        file = Path(TrainSpec(**spec).folder) / FAILURE
        file.write_text(json.dumps({"rank": int(rank), "message": str(error)}))
        raise


def clear_failure(spec: TrainSpec) -> None:
    """Forgets what an earlier attempt left."""
    (Path(spec.folder) / FAILURE).unlink(missing_ok=True)


def told_failure(spec: TrainSpec) -> TrainingError | None:
    """The error that a process left behind; None if it had no time to, as a killed one."""
    try:
        message = json.loads((Path(spec.folder) / FAILURE).read_text())["message"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return TrainingError(message)
