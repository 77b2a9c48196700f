"""Failure files: errors of training processes, passed to the driver so that it does not retry them."""

import json
import logging
import os
from pathlib import Path
from typing import Any

from recsys_spark.core.errors import RecsysError, TrainingError
from recsys_spark.training.spec import TrainSpec
from recsys_spark.training.trainer import train

__all__ = ["clear_failure", "read_failure", "train_rank"]

FAILURE = "failure.json"


def train_rank(spec: dict[str, Any]) -> dict[str, Any]:
    """Run `train` in a separate process, with logs on stderr and a failure file.

    TorchDistributor passes only the tail of a log to the driver; the file has the exact message.
    """
    rank = os.environ.get("RANK", "0")
    # Petastorm warns about each file that it did not write itself.
    logging.getLogger("petastorm").setLevel(logging.ERROR)
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s rank {rank}: %(message)s")
    try:
        return train(spec)
    except RecsysError as error:
        file = Path(TrainSpec(**spec).folder) / FAILURE
        file.write_text(json.dumps({"rank": int(rank), "message": str(error)}))
        raise


def clear_failure(spec: TrainSpec) -> None:
    """Remove the failure file of an earlier attempt."""
    (Path(spec.folder) / FAILURE).unlink(missing_ok=True)


def read_failure(spec: TrainSpec) -> TrainingError | None:
    """Return the error in the failure file; None without one, as after a kill."""
    try:
        message = json.loads((Path(spec.folder) / FAILURE).read_text())["message"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return TrainingError(message)
