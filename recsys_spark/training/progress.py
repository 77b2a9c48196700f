"""Progress of a training run: a file with one JSON line per epoch, log lines, and a text for the live line."""

import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recsys_spark.core.atomic_files import atomic_write
from recsys_spark.core.remaining_time import RemainingTime

__all__ = ["EpochLog", "EpochProgress", "log_trial", "logged_seconds"]

log = logging.getLogger(__name__)


class EpochLog:
    """Log file with one JSON line per epoch."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def write(self, line: dict[str, Any], epochs: int, left: str = "") -> None:
        """Add a line; NaN is written as null, and left out of the log message.

        The message counts epochs from 1 and ends with `left`, the remaining time. The file counts them from 0.
        """
        plain = {key: None if value != value else value for key, value in line.items()}
        self._replace([*self._lines(), json.dumps(plain) + "\n"])
        metric = "" if plain["metric"] is None else "%(metric_name)s %(metric).5g, "
        text = "epoch %(number)d of %(epochs)d: loss %(loss).5g, " + metric + "%(seconds).1f s%(left)s"
        log.info(text, line | {"number": line["epoch"] + 1, "epochs": epochs, "left": left})

    def truncate(self, epochs: int) -> None:
        """Keep the lines of the first epochs; a resumed run writes the later ones again."""
        if self.file.exists():
            self._replace(self._lines()[:epochs])

    def _lines(self) -> list[str]:
        return self.file.read_text().splitlines(keepends=True) if self.file.exists() else []

    def _replace(self, lines: list[str]) -> None:
        # As a new file: volumes of Databricks and other mounted object stores refuse to append.
        with atomic_write(self.file) as draft:
            draft.write_text("".join(lines))


def logged_seconds(file: Path) -> float:
    """Return the seconds of all epochs of a log, including those before an interruption."""
    return float(sum(json.loads(line)["seconds"] for line in file.read_text().splitlines()))


class EpochProgress:
    """Description of a training run at work: epoch, loss, metric and estimated remaining time.

    `epochs` is the number of epochs of the run, `done` those finished before it. A trial of a few steps ends early, so
    it has no estimate.
    """

    def __init__(
        self,
        epochs: int,
        metric_name: str,
        done: float = 0.0,
        is_trial: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.epochs, self.metric_name, self.is_trial = epochs, metric_name, is_trial
        self._remaining = RemainingTime(done, clock)
        self._text = ""

    def show(self, done: float, loss: float, metric: float | None) -> None:
        """Take the state after a step: finished epochs with their fraction, loss, and best metric so far."""
        shown = "" if metric is None else f", {self.metric_name} {metric:.5g}"
        self._text = f"epoch {max(1, math.ceil(done))} of {self.epochs}, loss {loss:.5g}{shown}{self.left(done)}"

    def left(self, done: float) -> str:
        """Return such as `, about 25 s left`; empty as long as that is uncertain."""
        return "" if self.is_trial else self._remaining.text(done, self.epochs)

    def text(self) -> str:
        """Return such as `epoch 3 of 20, loss 0.51, ndcg@100 0.3, about 25 s left`; empty before the first step."""
        return self._text


def log_trial(steps: int, seconds: float, epoch_steps: int) -> None:
    """Log the time that an epoch would take at the rate of a trial."""
    minutes = seconds / max(1, steps) * epoch_steps / 60
    message = "a trial of %d steps took %.1f s: an epoch of %d steps would take %.1f minutes"
    log.info(message, steps, seconds, epoch_steps, minutes)
