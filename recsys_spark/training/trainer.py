"""The training loop of every network: one process, several, or executors with GPUs run this same function.

Lightning Fabric was looked at first. Of what it offers, the process group comes from torchrun here, checkpoints
must be readable without pickle, and the loss is normalised over all ranks by what each counted; left over would be
DDP, a line, for another dependency, so the loop is plain torch.
"""

import json
import logging
import math
import shutil
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from recsys_spark.core.errors import TrainingError
from recsys_spark.metrics.ranking import is_better
from recsys_spark.networks.network import Loss
from recsys_spark.training.averages import RunningAverage
from recsys_spark.training.checkpoint import Checkpoint, Checkpoints, flatten_optimizer, restore_optimizer
from recsys_spark.training.epoch_schedule import Epoch, mix
from recsys_spark.training.optimizers import make_optimizer, set_learning_rate
from recsys_spark.training.progress import EpochLog, progress
from recsys_spark.training.ranks import Ranks, joined_ranks, tensor_float_products
from recsys_spark.training.shard_loader import Counts, Rows, check_counts
from recsys_spark.training.spec import TrainSpec
from recsys_spark.training.state import TrainingState
from recsys_spark.training.training_data import TrainingData, open_training_data
from recsys_spark.training.validation import batch_of, validate
from recsys_spark.training.weights import save_network

__all__ = ["train"]

log = logging.getLogger(__name__)


def train(spec: dict[str, Any]) -> dict[str, Any]:
    """Trains by a TrainSpec (as_dict), going on from its newest checkpoint, and saves the best weights.

    Returns a small report, the same on every rank: metric, epochs, steps, rows of each rank. Raises TrainingError
    for shards that are not whole, a loss that is not a number, or checkpoints of another run.
    """
    told = TrainSpec(**spec)
    if told.threads:
        torch.set_num_threads(told.threads)
    fast = told.use_gpu and told.mixed_precision
    with tensor_float_products(fast), joined_ranks(told.use_gpu, told.timeout_minutes) as ranks:
        data = open_training_data(told, ranks)
        return _Trainer(told, ranks, data).run()


class _Trainer:
    def __init__(self, spec: TrainSpec, ranks: Ranks, data: TrainingData) -> None:
        self.spec, self.ranks, self.data = spec, ranks, data
        self.settings = spec.network_settings()
        torch.manual_seed(mix(spec.seed, "weights"))
        self.network = spec.network(data.shape).to(ranks.device)
        self.network.set_column_counts(data.observed.column_counts)
        self.module: torch.nn.Module = self.network
        if ranks.world > 1:
            self.module = DistributedDataParallel(self.network, broadcast_buffers=False, gradient_as_bucket_view=True)
        self.optimizer = make_optimizer(self.network)
        self.average = RunningAverage(self.network, self.settings.average)
        self.checkpoints = Checkpoints(spec.checkpoints, spec.keep_checkpoints)
        self.best = Checkpoints(Path(spec.folder) / "best", keep=1)
        self.log = EpochLog(Path(spec.folder) / "log.jsonl", spec.tracking_uri, Path(spec.folder).name)
        self.state = TrainingState(self._rows_in_order(0).n_lanes)
        self.fingerprint = spec.fingerprint(*data.digests)
        self.saved_at = time.monotonic()
        self.first_step, self.seconds = 0, 0.0

    def run(self) -> dict[str, Any]:
        self._resume()
        self.first_step = self.state.global_step
        while not self._is_over():
            started, counts = time.monotonic(), self._epoch()
            seconds = time.monotonic() - started
            self.seconds += seconds
            if counts is None:
                break
            self._end_epoch(counts, seconds)
        return self._finish()

    def _is_over(self) -> bool:
        state, patience = self.state, self.settings.patience
        if state.epoch >= min(self.settings.epochs, self.spec.stop_after or self.settings.epochs):
            return True
        lasted = state.epoch - 1 - state.best_epoch
        return patience > 0 and state.best_metric is not None and lasted >= patience

    def _epoch(self) -> Counts | None:
        """Trains to the end of the epoch; None if `max_steps` ended it before."""
        state = self.state
        self.module.train()
        epoch = self._rows_in_order(state.epoch)
        counts = Counts()
        batches = epoch.batches(self.ranks.rank, counts, skip=state.step)
        with progress(state.epoch, self.settings.epochs, epoch.steps, self.network.metric) as tell:
            for rows in batches:
                if 0 < self.spec.max_steps <= state.global_step:
                    return None
                set_learning_rate(self.optimizer, self.settings, state.epoch + state.step / max(1, epoch.steps))
                loss = self._step(rows)
                tell(state.step, loss, state.best_metric if state.best_metric is not None else float("nan"))
                state.next_step()
                if time.monotonic() - self.saved_at > 60 * self.spec.checkpoint_minutes:
                    self._save()
        return counts

    def _rows_in_order(self, epoch: int) -> Epoch:
        data, seed = self.data, mix(self.spec.seed, "epoch", epoch)
        batch_rows, similar = self.settings.batch_rows, self.network.similar_lengths
        return Epoch(data.folder, data.manifest, batch_rows, self.ranks.world, seed, similar)

    def _step(self, rows: Rows) -> float:
        state, ranks = self.state, self.ranks
        # Each step has a seed of its own, so that a run can go on from any of them.
        torch.manual_seed(mix(self.spec.seed, state.global_step, ranks.rank))
        batch = batch_of(rows, self.data.shape.n_columns, ranks.device)
        loss: Loss = self.module(batch, state.global_step)
        count = self._add_up(loss, rows)
        if count > 0:
            self.optimizer.zero_grad(set_to_none=True)
            # DDP takes the mean of the ranks' gradients; the loss is to be divided by what all of them counted.
            torch.autograd.backward(loss.total * (ranks.world / count))
            if self.settings.clip_norm:
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip_norm)
            self.optimizer.step()
            self.average.update(state.global_step)
        return state.loss

    def _add_up(self, loss: Loss, rows: Rows) -> float:
        """Adds the loss of all ranks to the epoch's; gives the step's count. Raises TrainingError for NaN."""
        values = [loss.total, loss.count, *loss.parts.values()]
        summed = self.ranks.sum(torch.stack([value.detach().double().reshape(()) for value in values])).tolist()
        if not all(map(math.isfinite, summed)):
            raise self._not_a_number("loss", f"step {self.state.step} (rows {rows.numbers[:5].tolist()}...)")
        total, count, *parts = summed
        self.state.add(total, count, dict(zip(loss.parts, parts, strict=True)))
        return float(count)

    def _not_a_number(self, what: str, where: str) -> TrainingError:
        key = f"models.{self.spec.kind}"
        return TrainingError(
            f"the {what} of {self.spec.kind} is not a number at epoch {self.state.epoch}, {where}: lower "
            f"{key}.learning_rate (now {self.settings.learning_rate}) or set {key}.clip_norm; the last good weights "
            f"are kept in {self.checkpoints.folder}"
        )

    def _end_epoch(self, counts: Counts, seconds: float) -> None:
        state, data = self.state, self.data
        read = self.ranks.sum(torch.from_numpy(counts.as_array()).to(self.ranks.device)).cpu().numpy()
        check_counts(read, data.manifest, data.folder)
        # The last step's loss was taken before its update.
        if not all(torch.isfinite(weight).all() for weight in self.network.parameters()):
            raise self._not_a_number("weights", "at its end")
        metric = self._validate()
        line = {**state.next_epoch(), "metric": metric, "metric_name": self.network.metric, "seconds": seconds}
        line |= {"rows": int(read[0]), "non_zeros": int(read[1])}
        line |= {"learning_rate": self.optimizer.param_groups[0]["lr"]}
        if self.ranks.is_first:
            self.log.write(line)
        self._save()

    def _validate(self) -> float:
        """The metric after an epoch, NaN without validation data; the best weights so far are kept."""
        data, state = self.data, self.state
        if data.validation is None:
            return float("nan")
        self.network.eval()
        with self.average.in_place():
            metric = validate(self.network, *data.validation, data.observed, self.ranks)
            best = state.best_metric
            if metric == metric and (best is None or is_better(self.network.metric, metric, best)):
                state.best_metric, state.best_epoch = metric, state.epoch
                if self.ranks.is_first:
                    self.best.save(Checkpoint(state.global_step, {"weights": self._weights()}, {"metric": metric}))
        return metric

    def _weights(self) -> dict[str, Tensor]:
        return dict(self.network.state_dict())

    def _save(self) -> None:
        self.saved_at = time.monotonic()
        if not self.ranks.is_first:
            return
        tensors, groups = flatten_optimizer(self.optimizer)
        kept = {"weights": self._weights(), "optimizer": tensors, "average": self.average.averages}
        state = {**vars(self.state), "groups": groups, "fingerprint": self.fingerprint}
        self.checkpoints.save(Checkpoint(self.state.global_step, kept, {"state": json.dumps(state)}))

    def _resume(self) -> None:
        checkpoint = self.checkpoints.newest()
        if checkpoint is None:
            self.log.truncate(0)
            if self.ranks.is_first:
                shutil.rmtree(self.best.folder, ignore_errors=True)
            return
        state = json.loads(checkpoint.state["state"])
        if state.pop("fingerprint") != self.fingerprint:
            raise TrainingError(
                f"the checkpoints in {self.checkpoints.folder} are of other shards, settings or another seed: "
                f"delete {self.spec.folder} to train anew"
            )
        self.network.load_state_dict(checkpoint.tensors["weights"])
        restore_optimizer(self.optimizer, checkpoint.tensors["optimizer"], state.pop("groups"))
        self.average.load(checkpoint.tensors["average"])
        lanes, self.state = self.state.lanes, TrainingState(**state)
        if self.state.lanes != lanes:
            # Steps took other rows then, so that none can be skipped: the epoch starts again.
            self.state.start_epoch_again()
            self.state.lanes = lanes
        if self.ranks.is_first:
            self.log.truncate(self.state.epoch)
            log.info("training goes on from epoch %d, step %d", self.state.epoch, self.state.step)

    def _finish(self) -> dict[str, Any]:
        """Saves the best weights, or the last where nothing was validated."""
        state, data = self.state, self.data
        best = self.best.newest() if data.validation is not None else None
        if best is not None:
            self.network.load_state_dict(best.tensors["weights"])
        with self.average.in_place() if best is None else nullcontext():
            if self.ranks.is_first:
                save_network(self.spec, self.network, data.observed)
        self.ranks.wait()
        self.log.close()
        epoch = self._rows_in_order(0)
        rows = [epoch.rows_of(rank) for rank in range(self.ranks.world)]
        if self.spec.max_steps and self.ranks.is_first:
            steps = state.global_step - self.first_step
            minutes = self.seconds / max(1, steps) * epoch.steps / 60
            told = "a trial of %d steps in %.1f s: an epoch of %d steps would take %.1f minutes"
            log.info(told, steps, self.seconds, epoch.steps, minutes)
        metric = {"metric": state.best_metric, "metric_name": self.network.metric, "best_epoch": state.best_epoch}
        return {**metric, "epochs": state.epoch, "steps": state.global_step, "rows_of_ranks": rows}
