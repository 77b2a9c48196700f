"""Losses read some steps late: exact values and steps, and no checkpoint after a loss that is not a number."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys_spark.core.errors import TrainingError
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Loss
from recsys_spark.networks.song_autoencoder import SongAutoencoder
from recsys_spark.training import step_losses
from recsys_spark.training.checkpoint import Checkpoint, Checkpoints
from recsys_spark.training.prefetch import Loaded
from recsys_spark.training.ranks import Ranks
from recsys_spark.training.spec import TrainSpec
from recsys_spark.training.step_losses import StepLosses
from recsys_spark.training.trainer import train
from tests.networks.batches import rows_of
from tests.training.runs import PLAIN, make_spec, make_specs
from tests.training.shard_folders import planted_tastes

ALONE = Ranks(0, 1, torch.device("cpu"))
# Two epochs of four steps of twelve rows.
SHORT = PLAIN | {"epochs": 2}
EPOCH_STEPS = 4


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let losses be read only at the end of an epoch and before checkpoints."""
    monkeypatch.setattr(step_losses, "READ_SECONDS", math.inf)


def newest(spec: TrainSpec) -> Checkpoint:
    checkpoint = Checkpoints(spec.checkpoints).newest()
    assert checkpoint is not None
    assert all(tensor.isfinite().all() for tensors in checkpoint.tensors.values() for tensor in tensors.values())
    return checkpoint


def spoil(patch: pytest.MonkeyPatch, at: int, value: float) -> None:
    """Multiply the loss of one global step."""
    forward = SongAutoencoder.forward

    def spoilt(self: SongAutoencoder, batch: Batch, step: int) -> Loss:
        loss = forward(self, batch, step)
        return replace(loss, total=loss.total * value) if step == at else loss

    patch.setattr(SongAutoencoder, "forward", spoilt)


def test_losses_are_read_in_the_order_of_their_steps_and_once(monkeypatch: pytest.MonkeyPatch, late: None) -> None:
    monkeypatch.setattr(step_losses, "READ_STEPS", 3)
    losses, due = StepLosses(ALONE), []
    for step in range(3):
        due.append(losses.are_due)
        batch = rows_of([[0]], 2)
        loss = Loss(torch.tensor(step / 3), torch.tensor(1.0), {"part": torch.tensor(math.nan if step == 1 else 2.0)})
        losses.add(step, Loaded(np.arange(9, dtype=np.int32) + step, 1.0, batch), 1.0, loss)
    assert due == [False, False, True]
    read = list(losses.read())
    assert [(loss.step, loss.rows[0], len(loss.rows), loss.is_finite) for loss in read] == [
        (0, 0, 5, True),
        (1, 1, 5, False),
        (2, 2, 5, True),
    ]
    assert [loss.total for loss in read] == [float(torch.tensor(step / 3)) for step in range(3)]
    assert list(losses.read()) == []
    assert not losses.are_due


def test_slow_steps_are_read_every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = StepLosses(ALONE)
    assert not losses.are_due
    monkeypatch.setattr(step_losses, "READ_SECONDS", -1)
    assert losses.are_due


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("step", [0, EPOCH_STEPS - 1])
def test_a_loss_that_is_read_late_is_reported_with_its_own_step(
    value: float, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: None
) -> None:
    at_once, later = make_specs(tmp_path, "song_autoencoder", planted_tastes(), SHORT, "at once", "later")
    spoil(monkeypatch, EPOCH_STEPS + step, value)
    messages = []
    for spec, read_steps in ((at_once, 1), (later, 64)):
        monkeypatch.setattr(step_losses, "READ_STEPS", read_steps)
        with pytest.raises(
            TrainingError, match=rf"loss of song.* at epoch 2, step {step + 1} \(rows \[\d+, "
        ) as caught:
            train(spec.as_dict())
        messages.append(str(caught.value).replace(spec.folder, ""))
        assert newest(spec).step == EPOCH_STEPS
        assert not (Path(spec.folder) / "network.json").exists()
    assert messages[0] == messages[1]


def test_a_checkpoint_within_an_epoch_waits_for_the_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: None
) -> None:
    spec = make_spec(tmp_path, "song_autoencoder", planted_tastes(), SHORT, checkpoint_minutes=0.0)
    spoil(monkeypatch, 2, math.nan)
    with pytest.raises(TrainingError, match="epoch 1, step 3"):
        train(spec.as_dict())
    assert newest(spec).step == 2


def test_weights_that_a_finite_loss_made_infinite_are_in_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradient of the root is infinite at zero; times zero it is not a number."""
    forward = SongAutoencoder.forward

    def rooted(self: SongAutoencoder, batch: Batch, step: int) -> Loss:
        loss = forward(self, batch, step)
        return replace(loss, total=loss.total + (self.output.bias.sum() * 0).abs().sqrt()) if step == 2 else loss

    monkeypatch.setattr(SongAutoencoder, "forward", rooted)
    spec = make_spec(tmp_path, "song_autoencoder", planted_tastes(), SHORT, checkpoint_minutes=0.0)
    with pytest.raises(TrainingError, match="weights of song_autoencoder is not a number at epoch 1, after step 3"):
        train(spec.as_dict())
    assert newest(spec).step == 2


def test_a_trial_that_ends_with_such_a_loss_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: None) -> None:
    spec = make_spec(tmp_path, "song_autoencoder", planted_tastes(), SHORT, max_steps=2)
    spoil(monkeypatch, 1, math.nan)
    with pytest.raises(TrainingError, match="epoch 1, step 2"):
        train(spec.as_dict())
