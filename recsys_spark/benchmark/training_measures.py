"""Measures of training: epochs against a minimal loop, and two processes against one."""

import json
import shutil
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from recsys_spark.benchmark.comparison import Bench, Comparison, take_turns, torch_threads
from recsys_spark.benchmark.data import describe_size, generate_histories, write_history_shards
from recsys_spark.benchmark.reference_loop import EpochResult, train_reference
from recsys_spark.config.training import TrainingSettings
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Shape, load_network
from recsys_spark.storage.shard_format import Manifest
from recsys_spark.training.distributed import run_training
from recsys_spark.training.epoch_schedule import Epoch, derive_seed
from recsys_spark.training.shard_loader import Counts
from recsys_spark.training.spec import TrainSpec
from recsys_spark.training.validation import to_batch

__all__ = [
    "epoch_mult_vae",
    "epoch_seconds",
    "local_training",
    "prepare_training",
    "reference_epochs",
    "train_epochs",
    "two_processes",
]

# The first epoch warms up and does not count.
EPOCHS = 3
N_FILES = 4
# Twice the users of the scale, so that an epoch has more than a few steps.
USERS_TIMES = 2
BATCH_ROWS = 100
# From the network's default batch size upwards, to see where a second process becomes faster.
SMALLER_STEPS, LARGE_STEP = (100, 500, 1000), 2000


def epoch_mult_vae(bench: Bench) -> Comparison:
    """Compare an epoch of Mult-VAE from shards with the same steps on batches in memory."""
    size, spec = prepare_training(bench, bench.folder / "epoch")
    with torch_threads(bench.threads) as threads:
        training = local_training(1, threads)
        ours, reference = take_turns(
            bench.repeats,
            lambda: epoch_seconds([line["seconds"] for line in train_epochs(bench, spec, training)]),
            lambda: epoch_seconds([epoch.seconds for epoch in reference_epochs(spec)]),
        )
    more = {"threads": threads, "batch_rows": BATCH_ROWS}
    return Comparison("epoch_mult_vae", size, ours, "bare torch loop on batches in memory", reference, "<= 1.15", more)


def two_processes(bench: Bench) -> Comparison:
    """Compare epochs of two processes with epochs of one, in large steps.

    Each process has one thread. Processes exchange all gradients at every step, so smaller steps gain less.
    `ratio_at_N`, of one turn each, is for steps of N rows.
    """
    size, spec = prepare_training(bench, bench.folder / "processes")

    def seconds(processes: int, batch_rows: int) -> float:
        changed = TrainSpec(**{**spec.as_dict(), "settings": {**spec.settings, "batch_rows": batch_rows}, "threads": 1})
        lines = train_epochs(bench, changed, local_training(processes, 1))
        return epoch_seconds([line["seconds"] for line in lines])

    def turns(repeats: int, batch_rows: int) -> tuple[float, float]:
        return take_turns(repeats, partial(seconds, 2, batch_rows), partial(seconds, 1, batch_rows))

    more: dict[str, float] = {"threads": 1, "batch_rows": LARGE_STEP}
    with torch_threads(1):
        for batch_rows in SMALLER_STEPS:
            ours, reference = turns(1, batch_rows)
            more[f"ratio_at_{batch_rows}"] = reference / ours
        ours, reference = turns(bench.repeats, LARGE_STEP)
    goal = ">= 1.5 where the step is large enough"
    return Comparison("two_processes", size, ours, "one process", reference, goal, more)


def train_epochs(bench: Bench, spec: TrainSpec, training: TrainingSettings) -> list[dict[str, Any]]:
    """Train from the start, without a checkpoint, and return the lines of the log."""
    folder = Path(spec.folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run_training(bench.spark, spec, training)
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def reference_epochs(spec: TrainSpec) -> list[EpochResult]:
    """Train the same epochs by the reference loop; reading the batches is not timed."""
    folder = Path(spec.train_folder)
    manifest, settings = Manifest.read(folder), spec.network_settings()
    torch.manual_seed(derive_seed(spec.seed, "weights"))
    network = spec.network(Shape(manifest.n_rows, manifest.n_columns))
    return train_reference(network, [_batches(spec, manifest, epoch) for epoch in range(settings.epochs)], spec.seed)


def epoch_seconds(seconds: list[float]) -> float:
    """Return the median seconds of all epochs except the first."""
    return median(seconds[1:])


def prepare_training(bench: Bench, folder: Path, kind: str = "mult_vae") -> tuple[str, TrainSpec]:
    """Write shards of histories for a kind of network; return their size and a training spec."""
    rows = generate_histories(bench.n_users(USERS_TIMES), bench.n_items, bench.seed)
    shard_spec = load_network(kind).shard_spec
    write_history_shards(bench.spark, rows, bench.n_items, folder / "shards", N_FILES, bench.seed, shard_spec)
    settings = {"epochs": EPOCHS, "batch_rows": BATCH_ROWS}
    shards, model = str(folder / "shards"), str(folder / "model")
    return describe_size(rows, bench.n_items), TrainSpec(kind, settings, bench.seed, shards, None, model)


def _batches(spec: TrainSpec, manifest: Manifest, epoch: int) -> list[Batch]:
    order = derive_seed(spec.seed, "epoch", epoch)
    rows = Epoch(Path(spec.train_folder), manifest, spec.network_settings().batch_rows, 1, order)
    return [to_batch(part, manifest.n_columns, torch.device("cpu")) for part in rows.batches(0, Counts())]


def local_training(processes: int, threads: int) -> TrainingSettings:
    """Return settings for training on this machine."""
    return TrainingSettings.model_validate({"processes": processes, "local": True, "threads": threads, "retries": 0})
