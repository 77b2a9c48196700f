"""Checks of training on a device: agreement with the CPU, speed in each precision, two processes."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from recsys_spark.networks.network import load_network
from recsys_spark.storage.shard_format import Manifest
from recsys_spark.training.epoch_schedule import Epoch
from recsys_spark.training.ranks import Ranks
from recsys_spark.training.spec import TrainSpec
from recsys_spark.training.trainer import train
from recsys_spark.training.validation import TrainingStatistics, validate
from recsys_spark.training.weights import load_network_weights
from tests.gpu_check.data import Plays, ShardFolders, generate_plays, write_folders
from tests.gpu_check.meter import StepMeter
from tests.gpu_check.results import Results

__all__ = ["SCALES", "Check", "Scale"]

# Largest difference of a metric where only the order of sums differs: list places swap where scores are nearly equal.
SAME_NUMBERS = 1e-3
# Largest difference of a metric after training on two devices, which draw other random numbers.
OTHER_NUMBERS = 0.05
EPOCHS, BATCH_ROWS = 4, 200
# The network of the speed, and one that learns the same on any number of processes: it draws no random numbers.
FAST_KIND, EXACT_KIND = "mult_vae", "song_autoencoder"
WARM_UP = 3


@dataclass(frozen=True)
class Scale:
    """Users, items and mean entries of the data sets, and seconds of each speed."""

    agreement: tuple[int, int, int]
    speed: tuple[int, int, int]
    speed_seconds: float


SCALES = {
    "full": Scale((2000, 3706, 150), (360_000, 160_000, 60), 30),
    "small": Scale((400, 300, 40), (3000, 4000, 30), 5),
    "tiny": Scale((60, 40, 12), (1000, 200, 12), 0.5),
}


@dataclass(frozen=True)
class Check:
    """One run of the check on `device` (cuda or cpu), with files below `root`."""

    device: str
    scale: Scale
    root: Path
    results: Results
    plays: Plays

    @property
    def precisions(self) -> tuple[str, ...]:
        """Return the precisions of the device; a CPU has no tf32."""
        return ("float32", "tf32", "bfloat16") if self.device == "cuda" else ("float32", "bfloat16")

    def describe_machine(self) -> None:
        """Record the device, its number, and the versions."""
        on_gpu = self.device == "cuda"
        self.results.add(
            "machine",
            device=torch.cuda.get_device_name(0) if on_gpu else "cpu",
            gpus=torch.cuda.device_count() if torch.cuda.is_available() else 0,
            cores=os.cpu_count(),
            torch=torch.__version__,
            cuda=torch.version.cuda if on_gpu else None,
        )

    def check_agreement(self, kinds: list[str], seconds: float) -> None:
        """Compare the validation metrics of networks on both devices, for some seconds at most."""
        stop = self.results.seconds_left - seconds
        for kind in kinds:
            if self.results.seconds_left < stop:
                self.results.add("agreement", kind=kind, skipped="no time left")
                continue
            folders = self._agreement_folders(kind)
            on_cpu = train(self._spec(kind, folders, f"{kind}-cpu", "float32", "cpu").as_dict())["metric"]
            for precision in self.precisions:
                if precision != "bfloat16" or load_network(kind).metric != "rmse":
                    self._compare(kind, folders, precision, on_cpu)

    def check_speed(self) -> None:
        """Measure seconds of an epoch, and waits for data, in each precision."""
        users, items, mean = self.scale.speed
        plays = generate_plays(users, items, mean)
        folders = write_folders(plays, load_network(FAST_KIND).shard_spec, self.root / "speed", 16, validation=False)
        manifest = Manifest.read(folders.train)
        self.results.add("data", users=users, items=items, entries=manifest.non_zeros)
        for number, precision in enumerate(self.precisions):
            # What is left is divided among the precisions, with half of it for opening the data and a margin.
            share = self.results.seconds_left / (len(self.precisions) - number) / 2
            seconds = min(self.scale.speed_seconds, share)
            if seconds < self.scale.speed_seconds / 4:
                self.results.add("speed", kind=FAST_KIND, precision=precision, skipped="no time left")
                continue
            spec = self._spec(FAST_KIND, folders, f"speed-{precision}", precision, self.device)
            spec = replace(spec, settings={"epochs": 1})
            epoch_steps = Epoch(folders.train, manifest, spec.network_settings().batch_rows, 1).steps
            meter = StepMeter(self.device, WARM_UP, seconds, epoch_steps)
            if self.device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            with meter.measuring():
                train(spec.as_dict())
            steps = meter.steps - WARM_UP
            self.results.add(
                "speed",
                kind=FAST_KIND,
                precision=precision,
                steps=steps,
                step_milliseconds=1000 * meter.seconds / steps,
                epoch_seconds=meter.seconds / steps * epoch_steps,
                waiting_share=meter.waiting_share,
                loading_share=meter.loading_share,
                gigabytes=torch.cuda.max_memory_allocated() / 2**30 if self.device == "cuda" else None,
            )

    def check_two_processes(self) -> None:
        """Compare two processes of this machine with one, or record why that is impossible."""
        present = torch.cuda.device_count() if self.device == "cuda" else 2
        if present < 2:
            self.results.add("two processes", skipped=f"this machine has {present} GPU; two are needed")
            return
        folders = self._agreement_folders(EXACT_KIND)
        one, two = (self._spec(EXACT_KIND, folders, f"ranks-{n}", "float32", self.device) for n in (1, 2))
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        command = [*launch, "--module", "tests.gpu_check.rank", json.dumps(two.as_dict())]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        limit = max(30.0, self.results.seconds_left)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit, check=False)
        if done.returncode:
            self.results.add("two processes", ok=False, error=done.stderr.strip().splitlines()[-1][:300])
            return
        train(one.as_dict())
        alone, together = (_log(spec) for spec in (one, two))
        metric, of_two = alone[-1]["metric"], together[-1]["metric"]
        self.results.add(
            "two processes",
            kind=EXACT_KIND,
            one=metric,
            two=of_two,
            ok=abs(metric - of_two) <= SAME_NUMBERS,
            seconds_one=alone[-1]["seconds"],
            seconds_two=together[-1]["seconds"],
        )

    def _compare(self, kind: str, folders: ShardFolders, precision: str, on_cpu: float) -> None:
        spec = self._spec(kind, folders, f"{kind}-{precision}", precision, self.device)
        meter = StepMeter(self.device, warm_up=0)
        with meter.measuring(count_waits=True):
            metric = train(spec.as_dict())["metric"]
        same = [_metric_of_weights(spec, device) for device in ("cpu", self.device)]
        self.results.add(
            "agreement",
            kind=kind,
            metric=load_network(kind).metric,
            precision=precision,
            cpu=on_cpu,
            device=metric,
            same_weights_cpu=same[0],
            same_weights_device=same[1],
            ok=abs(same[0] - same[1]) <= SAME_NUMBERS and abs(metric - on_cpu) <= OTHER_NUMBERS,
            waits_a_step=meter.waits_of_host / meter.steps if self.device == "cuda" else None,
        )

    def _agreement_folders(self, kind: str) -> ShardFolders:
        spec = load_network(kind).shard_spec
        root = self.root / "-".join((spec.rows, spec.values))
        if root.exists():
            return ShardFolders(root / "train", root / "validation")
        return write_folders(self.plays, spec, root)

    def _spec(self, kind: str, folders: ShardFolders, name: str, precision: str, device: str) -> TrainSpec:
        folder = self.root / name
        folder.mkdir()
        return TrainSpec(
            kind=kind,
            settings={"epochs": EPOCHS, "batch_rows": BATCH_ROWS, "patience": 0},
            seed=1,
            train_folder=str(folders.train),
            validation_folder=None if folders.validation is None else str(folders.validation),
            folder=str(folder),
            use_gpu=device == "cuda",
            precision=precision,
        )


def _metric_of_weights(spec: TrainSpec, device: str) -> float:
    """Return the validation metric of the stored weights, computed on a device."""
    place = torch.device(device)
    stored = load_network_weights(Path(spec.folder))
    network = stored.network.to(place)
    statistics = TrainingStatistics(network.column_counts, stored.statistics.lowest, stored.statistics.highest)
    assert spec.validation_folder is not None
    folder = Path(spec.validation_folder)
    return validate(network, folder, Manifest.read(folder), statistics, Ranks(0, 1, place))


def _log(spec: TrainSpec) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(spec.folder) / "log.jsonl").read_text().splitlines()]
