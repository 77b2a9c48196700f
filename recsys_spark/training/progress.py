"""Progress of a training run: a file with one JSON line per epoch, log lines, and a progress bar."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from recsys_spark.core.atomic_files import atomic_write

__all__ = ["EpochLog", "ShowProgress", "logged_seconds", "progress"]

log = logging.getLogger(__name__)


class EpochLog:
    """Log file with one JSON line per epoch; also sent to MLflow if there is a tracking URI."""

    def __init__(self, file: Path, tracking_uri: str | None, run_name: str) -> None:
        self.file = file
        self._mlflow = _mlflow(tracking_uri, run_name)

    def write(self, line: dict[str, Any]) -> None:
        """Add a line; NaN is written as null, and left out of the log message."""
        plain = {key: None if value != value else value for key, value in line.items()}
        self._replace([*self._lines(), json.dumps(plain) + "\n"])
        metric = "" if plain["metric"] is None else "%(metric_name)s %(metric).5g, "
        log.info("epoch %(epoch)d: loss %(loss).5g, " + metric + "%(seconds).1f s", line)
        if self._mlflow is not None:
            numbers = {key.replace("@", "_at_"): v for key, v in plain.items() if isinstance(v, int | float)}
            self._mlflow.log_metrics(numbers, step=line["epoch"])

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

    def close(self) -> None:
        """End the MLflow run, if there is one."""
        if self._mlflow is not None:
            self._mlflow.end_run()


def logged_seconds(file: Path) -> float:
    """Return the seconds of all epochs of a log, including those before an interruption."""
    return float(sum(json.loads(line)["seconds"] for line in file.read_text().splitlines()))


class ShowProgress(Protocol):
    """Function that shows the progress of an epoch."""

    def __call__(self, step: int, loss: float, metric: float) -> None: ...


@contextmanager
def progress(epoch: int, epochs: int, steps: int, metric_name: str) -> Iterator[ShowProgress]:
    """Show a bar with loss, metric and time left, if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield lambda step, loss, metric: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    text = TextColumn("epoch {task.fields[epoch]} loss {task.fields[loss]:.5g} {task.fields[metric]}")
    with Progress(text, BarColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=steps, epoch=f"{epoch + 1}/{epochs}", loss=float("nan"), metric="")

        def update(step: int, loss: float, metric: float) -> None:
            shown = "" if metric != metric else f"{metric_name} {metric:.5g}"
            bar.update(task, completed=step + 1, loss=loss, metric=shown)

        yield update


def _mlflow(tracking_uri: str | None, run_name: str) -> Any:
    if tracking_uri is None:
        return None
    import mlflow

    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment("recsys_spark")
    mlflow.start_run(run_name=run_name)
    return mlflow
