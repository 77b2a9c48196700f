"""Resumed runs against uninterrupted ones, after stops, kills and damaged files."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from recsys_spark.core.errors import TrainingError
from recsys_spark.training import epoch_schedule, trainer
from recsys_spark.training.checkpoint import Checkpoints
from recsys_spark.training.spec import TrainSpec
from recsys_spark.training.trainer import train
from tests.training.runs import (
    NOISY,
    PLAIN,
    Stopped,
    log_of,
    make_spec,
    make_specs,
    set_metrics,
    stop_at,
    stored_weights,
    weights_of,
)
from tests.training.shard_folders import planted_tastes, write_folder

SEEN_OFTEN = {"checkpoint_minutes": 0.0}


def go_on(spec: TrainSpec, times: int) -> dict[str, Any]:
    """Run training until it has been stopped `times` times, and then to the end."""
    for _ in range(times):
        with pytest.raises(Stopped):
            train(spec.as_dict())
    return train(spec.as_dict())


def assert_ends_like(whole: TrainSpec, report: dict[str, Any], stopped: TrainSpec, again: dict[str, Any]) -> None:
    assert again == report
    assert weights_of(stopped) == weights_of(whole)
    assert log_of(stopped) == log_of(whole)


@pytest.mark.parametrize("steps", [(0,), (1,), (5,), (4,), (2, 3, 9)])
def test_a_stopped_run_ends_bit_for_bit_like_an_uninterrupted_one(
    steps: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stopped = make_specs(tmp_path, "mult_vae", planted_tastes(), NOISY, "whole", "stopped", **SEEN_OFTEN)
    report = train(whole.as_dict())
    assert report["steps"] > 9 > report["steps"] / report["epochs"] >= 4
    stop_at(monkeypatch, *steps)
    assert_ends_like(whole, report, stopped, go_on(stopped, len(steps)))


@pytest.mark.parametrize("checkpoint_minutes", [0.0, 10.0], ids=["each step", "each epoch"])
@pytest.mark.parametrize("place", ["validate", "save_network", "_end_epoch", "_save"])
def test_a_run_stopped_at_the_end_of_an_epoch_logs_and_learns_nothing_twice(
    place: str, checkpoint_minutes: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tastes, changes = planted_tastes(n_rows=20), {"checkpoint_minutes": checkpoint_minutes}
    whole, stopped = make_specs(tmp_path, "mult_vae", tastes, NOISY, "whole", "stopped", **changes)
    report = train(whole.as_dict())
    owner: Any = trainer if place in ("validate", "save_network") else trainer._Trainer
    unpatched, calls = getattr(owner, place), 0

    def stopping(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        # The end of the second epoch: its log line is written before its checkpoint.
        at_the_end = place != "_save" or args[0].state.step == 0
        calls += at_the_end
        if at_the_end and calls == (1 if place == "save_network" else 2):
            raise Stopped
        return unpatched(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, place, stopping)
        with pytest.raises(Stopped):
            train(stopped.as_dict())
    assert_ends_like(whole, report, stopped, train(stopped.as_dict()))


KILLED = """
import json, os, signal, sys
from recsys_spark.training import checkpoint, trainer

place, at, spec = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
step, save_file, saved = trainer._Trainer._step, checkpoint.save_file, []

def killed_before_a_step(self, loaded):
    if place == "step" and self.state.global_step == at:
        os.kill(os.getpid(), signal.SIGKILL)
    step(self, loaded)

def killed_while_writing(tensors, file):
    save_file(tensors, file)
    if place == "checkpoint" and file.name == "optimizer.safetensors":
        saved.append(file)
        if len(saved) == at:
            os.kill(os.getpid(), signal.SIGKILL)

trainer._Trainer._step, checkpoint.save_file = killed_before_a_step, killed_while_writing
trainer.train(spec)
"""


@pytest.mark.parametrize("place", ["step", pytest.param("checkpoint", marks=pytest.mark.slow)])
def test_a_killed_run_ends_bit_for_bit_like_an_uninterrupted_one(place: str, tmp_path: Path) -> None:
    whole, killed = make_specs(tmp_path, "mult_vae", planted_tastes(), NOISY, "whole", "killed", **SEEN_OFTEN)
    report = train(whole.as_dict())
    child = [sys.executable, "-c", KILLED, place, "6", json.dumps(killed.as_dict())]
    assert subprocess.run(child, timeout=120, check=False).returncode == -signal.SIGKILL
    assert not (Path(killed.folder) / "network.json").exists()
    assert_ends_like(whole, report, killed, train(killed.as_dict()))


def test_a_damaged_newest_checkpoint_costs_steps_but_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stopped = make_specs(tmp_path, "mult_vae", planted_tastes(), NOISY, "whole", "stopped", **SEEN_OFTEN)
    report = train(whole.as_dict())
    with monkeypatch.context() as patch:
        stop_at(patch, 7)
        with pytest.raises(Stopped):
            train(stopped.as_dict())
    newest = max(stopped.checkpoints.iterdir())
    content = bytearray((newest / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (newest / "weights.safetensors").write_bytes(content)
    assert_ends_like(whole, report, stopped, train(stopped.as_dict()))


def test_a_finished_run_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec(tmp_path, "song_autoencoder", planted_tastes(), PLAIN)
    report, weights, log = train(spec.as_dict()), weights_of(spec), log_of(spec)
    stop_at(monkeypatch, *range(100))
    assert train(spec.as_dict()) == report
    assert (weights_of(spec), log_of(spec)) == (weights, log)


def test_resuming_with_another_number_of_streams_starts_the_epoch_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three processes instead of four, for example: steps have other rows, so none can be skipped."""
    tastes = planted_tastes()
    spec = make_spec(tmp_path, "song_autoencoder", tastes, PLAIN, **SEEN_OFTEN)
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, 2)
        train(spec.as_dict())
    read: list[int] = []
    step = trainer._Trainer._step

    def watched(self: Any, loaded: Any) -> None:
        read.extend(loaded.numbers.tolist())
        step(self, loaded)

    monkeypatch.setattr(trainer._Trainer, "_step", watched)
    monkeypatch.setattr(epoch_schedule, "STREAMS", 3)
    train(spec.as_dict())
    assert sorted(read) == sorted([*tastes.rows] * 3)


@pytest.mark.parametrize("other", ["seed", "settings", "training shards", "validation shards"])
def test_checkpoints_of_another_run_are_refused(other: str, tmp_path: Path) -> None:
    tastes = planted_tastes(n_rows=12)
    spec = make_spec(tmp_path, "song_autoencoder", tastes, PLAIN)
    train(spec.as_dict())
    weights = weights_of(spec)
    changed = tastes._replace(rows=tastes.rows | {0: {1: 1.0}})
    write_folder(tmp_path / "others", changed.rows, changed.shape)
    write_folder(tmp_path / "held", changed.rows, changed.shape, changed.held)
    specs = {
        "seed": replace(spec, seed=4),
        "settings": replace(spec, settings=PLAIN | {"learning_rate": 0.01}),
        "training shards": replace(spec, train_folder=str(tmp_path / "others")),
        "validation shards": replace(spec, validation_folder=str(tmp_path / "held")),
    }
    with pytest.raises(TrainingError, match=f"checkpoints belong to other shards, .* delete {spec.folder}"):
        train(specs[other].as_dict())
    assert weights_of(spec) == weights


def test_best_weights_without_a_checkpoint_are_discarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such weights belong to a run that cannot be resumed, possibly one of more steps."""
    spec = make_spec(tmp_path, "song_autoencoder", planted_tastes(), PLAIN)
    set_metrics(monkeypatch, 0.1, 0.2, 0.3)
    train(spec.as_dict())
    for checkpoint in spec.checkpoints.iterdir():
        (checkpoint / "state.json").unlink()
    set_metrics(monkeypatch, 0.3, 0.2, 0.1)
    assert train(spec.as_dict())["best_epoch"] == 0
    last = Checkpoints(spec.checkpoints).newest()
    stored = stored_weights(spec)
    assert last is not None
    first = make_spec(tmp_path, "song_autoencoder", planted_tastes(), PLAIN | {"epochs": 1}, name="one epoch")
    set_metrics(monkeypatch, 0.3)
    train(first.as_dict())
    assert not torch.equal(stored["output.bias"], last.tensors["weights"]["output.bias"])
    assert weights_of(spec) == weights_of(first)
