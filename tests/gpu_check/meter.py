"""Times of training steps: their length, waits for data between them, and waits of the host within them."""

import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from recsys_spark.training import trainer

__all__ = ["Enough", "StepMeter"]


class Enough(Exception):
    """End of a measured run whose time is over."""


class StepMeter:
    """Clock of the steps of the trainer, from the end of `warm_up` steps.

    Enough ends the run after `seconds`, or after `steps` steps, if given. On a GPU the time between two steps is that
    of its stream, from the end of the work of one step to the begin of the next: zero while the host is ahead. On a CPU
    it is that of the loader.
    """

    def __init__(self, device: str, warm_up: int, seconds: float = math.inf, steps: float = math.inf) -> None:
        self.on_gpu, self.warm_up, self.limit, self.last = device == "cuda", warm_up, seconds, steps
        self.steps, self.loading, self.waits_of_host = 0, 0.0, 0
        self._begin = self._end = 0.0
        self._marks: list[tuple[Any, Any]] = []

    @property
    def seconds(self) -> float:
        """Return the seconds of the measured steps."""
        return self._end - self._begin

    @property
    def loading_share(self) -> float:
        """Return the share of the time that the host spent between steps, in the loader."""
        return self.loading / max(self.seconds, 1e-9)

    @property
    def waiting_share(self) -> float:
        """Return the share of the time that the device waited between steps."""
        if not self.on_gpu:
            return self.loading_share
        gaps = [ended.elapsed_time(begun) for (_, ended), (begun, _) in zip(self._marks, self._marks[1:], strict=False)]
        return sum(gaps) / 1000 / max(self.seconds, 1e-9)

    @contextmanager
    def measuring(self, count_waits: bool = False) -> Iterator[None]:
        """Measure the steps of the training runs in this context."""
        trained: Any = trainer._Trainer
        step = trained._step
        between = self._counted_waits if count_waits and self.on_gpu else nullcontext

        def measured(run: Any, loaded: Any) -> None:
            if self.steps == self.warm_up:
                self._finish()
                self._begin, self.loading, self._marks = time.perf_counter(), 0.0, []
            elif self.steps > self.warm_up:
                self.loading += time.perf_counter() - self._end
            begun = self._mark()
            with between():
                step(run, loaded)
            self._marks.append((begun, self._mark()))
            self.steps += 1
            self._end = time.perf_counter()
            if self.steps == self.last or (self.steps > self.warm_up and self.seconds > self.limit):
                self._finish()
                raise Enough

        trained._step = measured
        try:
            yield
        except Enough:
            pass
        finally:
            trained._step = step

    def _mark(self) -> Any:
        if not self.on_gpu:
            return None
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _finish(self) -> None:
        """Wait for the device, so that the clock includes all of its work."""
        if self.on_gpu:
            torch.cuda.synchronize()
        self._end = time.perf_counter()

    @contextmanager
    def _counted_waits(self) -> Iterator[None]:
        """Count the operations in which the host waits for the GPU."""
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
        self.waits_of_host += sum("synchronizing CUDA operation" in str(warning.message) for warning in caught)
