"""Training loop of all networks: the same function for one process, several, or executors with GPUs.

The loop is plain torch rather than Lightning Fabric. Here the process group comes from torchrun, checkpoints must be
readable without pickle, and the loss is normalised by the counts of all ranks. Fabric would then only add DDP, which
is one line, and another dependency.
"""

import logging
import math
import shutil
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from recsys_spark.core.errors import TrainingError
from recsys_spark.core.logs import progress_detail
from recsys_spark.metrics.ranking import is_better
from recsys_spark.networks.network import load_network
from recsys_spark.training.checkpoint import Checkpoint, Checkpoints
from recsys_spark.training.epoch_schedule import Epoch, derive_seed
from recsys_spark.training.gradient_steps import GradientSteps
from recsys_spark.training.optimizers import set_learning_rate
from recsys_spark.training.precision import Precision, choose_precision
from recsys_spark.training.prefetch import Loaded, load_batches
from recsys_spark.training.progress import EpochLog, EpochProgress, log_trial
from recsys_spark.training.ranks import Ranks, joined_ranks
from recsys_spark.training.resuming import make_checkpoint, restore_checkpoint
from recsys_spark.training.shard_loader import Counts, check_counts
from recsys_spark.training.spec import TrainSpec
from recsys_spark.training.state import TrainingState
from recsys_spark.training.step_losses import StepLosses
from recsys_spark.training.training_data import TrainingData, open_training_data
from recsys_spark.training.validation import validate
from recsys_spark.training.weights import save_network

__all__ = ["train"]

log = logging.getLogger(__name__)


def train(spec: dict[str, Any]) -> dict[str, Any]:
    """Train a network by a TrainSpec (as_dict) and save the best weights.

    Training resumes from the newest checkpoint, if any. Returns a small report, the same on every rank: metric, epochs,
    steps, rows of each rank. Raises TrainingError for incomplete shards, a loss that is not a finite number, or
    checkpoints of another run.
    """
    run = TrainSpec(**spec)
    if run.threads:
        torch.set_num_threads(run.threads)
    with joined_ranks(run.use_gpu, run.timeout_minutes) as ranks:
        precision = choose_precision(run.precision, load_network(run.kind).metric, ranks.device)
        with precision.products():
            return _Trainer(run, ranks, open_training_data(run, ranks), precision).run()


class _Trainer:
    """Training run of one process."""

    def __init__(self, spec: TrainSpec, ranks: Ranks, data: TrainingData, precision: Precision) -> None:
        self.spec, self.ranks, self.data = spec, ranks, data
        self.settings = spec.network_settings()
        self.epochs = min(self.settings.epochs, spec.stop_after or self.settings.epochs)
        torch.manual_seed(derive_seed(spec.seed, "weights"))
        self.network = spec.network(data.shape).to(ranks.device)
        self.network.set_column_counts(data.statistics.column_counts)
        self.steps = GradientSteps(self.network, ranks, self._epoch_schedule(0).steps, precision, spec.compile)
        self.optimizer, self.average = self.steps.optimizer, self.steps.average
        self.losses = StepLosses(ranks)
        self.checkpoints = Checkpoints(spec.checkpoints, spec.keep_checkpoints)
        self.best = Checkpoints(Path(spec.folder) / "best", keep=1)
        self.log = EpochLog(Path(spec.folder) / "log.jsonl")
        self.state = TrainingState(self._epoch_schedule(0).n_streams)
        self.fingerprint = spec.fingerprint(*data.digests)
        self.saved_at = time.monotonic()
        self.first_step, self.seconds = 0, 0.0

    def run(self) -> dict[str, Any]:
        """Train to the end and return the report."""
        self._resume()
        self.first_step = self.state.global_step
        done = self.state.epochs_done(self._epoch_schedule(self.state.epoch).steps)
        self.progress = EpochProgress(self.epochs, self.network.metric, done, is_trial=self.spec.max_steps > 0)
        with progress_detail(self.progress.text):
            while not self._is_over():
                started, counts = time.monotonic(), self._train_epoch()
                seconds = time.monotonic() - started
                self.seconds += seconds
                if counts is None:
                    break
                self._end_epoch(counts, seconds)
        return self._finish()

    def _is_over(self) -> bool:
        state, patience = self.state, self.settings.patience
        if state.epoch >= self.epochs:
            return True
        lasted = state.epoch - 1 - state.best_epoch
        return patience > 0 and state.best_metric is not None and lasted >= patience

    def _train_epoch(self) -> Counts | None:
        """Train to the end of the epoch and return its counts; None if `max_steps` ended it before."""
        state, counts = self.state, Counts()
        self.steps.module.train()
        epoch = self._epoch_schedule(state.epoch)
        rows = epoch.batches(self.ranks.rank, counts, skip=state.step)
        for loaded in load_batches(rows, self.network, self.ranks.device):
            if 0 < self.spec.max_steps <= state.global_step:
                self._read_losses()
                return None
            set_learning_rate(self.optimizer, self.settings, state.epochs_done(epoch.steps))
            self._step(loaded)
        self._read_losses()
        return counts

    def _epoch_schedule(self, epoch: int) -> Epoch:
        data, seed = self.data, derive_seed(self.spec.seed, "epoch", epoch)
        batch_rows, similar = self.settings.batch_rows, self.network.similar_lengths
        return Epoch(data.folder, data.manifest, batch_rows, self.ranks.world, seed, similar)

    def _step(self, loaded: Loaded) -> None:
        """Take one step, and then read losses or save a checkpoint where either is due."""
        state, ranks = self.state, self.ranks
        is_old = time.monotonic() - self.saved_at > 60 * self.spec.checkpoint_minutes
        # The clocks of the ranks differ: all of them read and save after the same step.
        count, saves, reads = ranks.sum_on_hosts(loaded.count, is_old and ranks.is_first, self.losses.are_due)
        # Each step has its own seed, so that a run can resume from any step.
        torch.manual_seed(derive_seed(self.spec.seed, state.global_step, ranks.rank))
        self.losses.add(state.step, loaded, count, self.steps.take(loaded, state.global_step, count))
        state.next_step()
        if saves or reads:
            self._read_losses()
        if saves:
            self._check_weights(f"after step {state.step}")
            self._save()

    def _read_losses(self) -> None:
        """Add the losses of the last steps to the epoch's.

        Raises TrainingError if one is not finite.
        """
        for loss in self.losses.read():
            if not loss.is_finite:
                raise self._not_a_number("loss", f"step {loss.step + 1} (rows {loss.rows}...)")
            if not math.isclose(loss.count, loss.divisor, rel_tol=1e-4):
                raise TrainingError(
                    f"{self.spec.kind}: the count of a loss is {loss.count}, and loss_count of its batches "
                    f"{loss.divisor}: define loss_count in the network as the count of the losses that it returns"
                )
            self.state.add(loss.total, loss.count, loss.parts)
        done = self.state.epochs_done(self._epoch_schedule(self.state.epoch).steps)
        self.progress.show(done, self.state.loss, self.state.best_metric)

    def _check_weights(self, where: str) -> None:
        # The loss of a step is computed before its update, which may have made weights infinite.
        if not torch.stack([weight.isfinite().all() for weight in self.network.parameters()]).all():
            raise self._not_a_number("weights", where)

    def _not_a_number(self, what: str, where: str) -> TrainingError:
        key = f"models.{self.spec.kind}"
        return TrainingError(
            f"the {what} of {self.spec.kind} is not a number at epoch {self.state.epoch + 1}, {where}: lower "
            f"{key}.learning_rate (now {self.settings.learning_rate}) or set {key}.clip_norm; the last valid weights "
            f"are kept in {self.checkpoints.folder}"
        )

    def _end_epoch(self, counts: Counts, seconds: float) -> None:
        state, data = self.state, self.data
        read = self.ranks.sum(torch.from_numpy(counts.as_array()).to(self.ranks.device)).cpu().numpy()
        check_counts(read, data.manifest, data.folder)
        self._check_weights("at its end")
        metric = self._validate()
        line = {**state.next_epoch(), "metric": metric, "metric_name": self.network.metric, "seconds": seconds}
        line |= {"rows": int(read[0]), "non_zeros": int(read[1])}
        line |= {"learning_rate": self.optimizer.param_groups[0]["lr"]}
        if self.ranks.is_first:
            self.log.write(line, self.epochs, self.progress.left(state.epoch))
        self._save()

    def _validate(self) -> float:
        """Return the metric after an epoch, NaN without validation data, and store the best weights."""
        data, state = self.data, self.state
        if data.validation is None:
            return float("nan")
        self.network.eval()
        with self.average.in_place():
            metric = validate(self.network, *data.validation, data.statistics, self.ranks)
            best = state.best_metric
            if metric == metric and (best is None or is_better(self.network.metric, metric, best)):
                state.best_metric, state.best_epoch = metric, state.epoch
                if self.ranks.is_first:
                    weights = {"weights": dict(self.network.state_dict())}
                    self.best.save(Checkpoint(state.global_step, weights, {"metric": metric}))
        return metric

    def _save(self) -> None:
        self.saved_at = time.monotonic()
        if not self.ranks.is_first:
            return
        self.checkpoints.save(make_checkpoint(self.state, self.steps, self.fingerprint))

    def _resume(self) -> None:
        checkpoint = self.checkpoints.newest()
        if checkpoint is None:
            self.log.truncate(0)
            if self.ranks.is_first:
                shutil.rmtree(self.best.folder, ignore_errors=True)
            return
        n_streams = self.state.n_streams
        try:
            self.state = restore_checkpoint(checkpoint, self.steps, self.fingerprint)
        except ValueError:
            raise TrainingError(
                f"the checkpoints in {self.checkpoints.folder} belong to other shards, settings or another seed: "
                f"delete {self.spec.folder} to train from the start"
            ) from None
        if self.state.n_streams != n_streams:
            # The stored steps had other rows, so none can be skipped: the epoch starts again.
            self.state.start_epoch_again()
            self.state.n_streams = n_streams
        if self.ranks.is_first:
            self.log.truncate(self.state.epoch)
            log.info("training resumes in epoch %d of %d", self.state.epoch + 1, self.epochs)

    def _finish(self) -> dict[str, Any]:
        """Save the best weights, or the last ones without validation, and return the report."""
        state, data = self.state, self.data
        best = self.best.newest() if data.validation is not None else None
        if best is not None:
            self.network.load_state_dict(best.tensors["weights"])
        with self.average.in_place() if best is None else nullcontext():
            if self.ranks.is_first:
                save_network(self.spec, self.network, data.statistics)
        self.ranks.wait()
        epoch = self._epoch_schedule(0)
        rows = [epoch.rows_of_rank(rank) for rank in range(self.ranks.world)]
        if self.spec.max_steps and self.ranks.is_first:
            log_trial(state.global_step - self.first_step, self.seconds, epoch.steps)
        best_epoch = None if state.best_metric is None else state.best_epoch
        metric = {"metric": state.best_metric, "metric_name": self.network.metric, "best_epoch": best_epoch}
        return {**metric, "epochs": state.epoch, "steps": state.global_step, "rows_of_ranks": rows}
