"""Training loop: learned preferences, early stopping, stored weights and logs."""

import logging
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys_spark.core.errors import TrainingError
from recsys_spark.metrics.ranking import ndcg
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Loss
from recsys_spark.networks.song_autoencoder import SongAutoencoder
from recsys_spark.training import trainer
from recsys_spark.training.checkpoint import Checkpoints
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
from tests.training.shard_folders import Tastes, planted_tastes


def ndcg_of_popularity(tastes: Tastes) -> float:
    """Compute the NDCG of popularity lists without a row's own columns, by brute force."""
    counts = np.zeros(tastes.shape[1])
    for entries in tastes.rows.values():
        counts[list(entries)] += 1
    values = []
    for row, entries in tastes.rows.items():
        order = [column for column in np.argsort(-counts, kind="stable") if column not in entries]
        hits = np.isin(order, list(tastes.held[row]))[None]
        values.append(ndcg(hits, np.array([len(tastes.held[row])]), 100)[0])
    return float(np.mean(values))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("song_autoencoder", {"units": 8}),
        ("cdae", {"units": 8}),
        ("mult_vae", {"hidden": 16, "latent": 4, "dropout": 0.2}),
        ("svae", {"embedding": 8, "recurrent": 8, "hidden": 8, "latent": 4}),
    ],
)
def test_planted_tastes_are_learnt(kind: str, settings: dict[str, Any], tmp_path: Path) -> None:
    """A model that separates the two groups ranks the held-out columns among six candidates."""
    tastes = planted_tastes(n_rows=60)
    settings = settings | {"epochs": 12, "batch_rows": 12, "learning_rate": 0.02, "patience": 0}
    report = train(make_spec(tmp_path, kind, tastes, settings).as_dict())
    assert report["metric"] > ndcg_of_popularity(tastes) + 0.1


@pytest.mark.parametrize("kind", ["autorec_user", "deeprec"])
def test_planted_ratings_are_learnt(kind: str, tmp_path: Path) -> None:
    settings = {"units": 8, "l2": 0.1} if kind == "autorec_user" else {"layers": (8, 8), "dropout": 0.2}
    settings = settings | {"epochs": 12, "batch_rows": 12, "learning_rate": 0.02, "patience": 0}
    report = train(make_spec(tmp_path, kind, planted_tastes(n_rows=60, ratings=True), settings).as_dict())
    # All held-out ratings are 5; half of the training ratings are 1.
    assert report["metric"] < 1


@pytest.mark.parametrize(
    ("kind", "metrics", "patience", "epochs", "best"),
    [
        ("song_autoencoder", [0.1, 0.5, 0.4, 0.5, 0.9], 2, 4, 1),
        ("song_autoencoder", [0.1, 0.5, 0.4, 0.6, 0.2], 2, 5, 3),
        ("song_autoencoder", [0.5, 0.1, 0.1, 0.1, 0.1], 0, 5, 0),
        ("song_autoencoder", [math.nan, 0.1, math.nan, 0.3, 0.2], 2, 5, 3),
        ("autorec_user", [0.9, 0.5, 0.6, 0.7, 0.1], 2, 4, 1),
    ],
)
def test_training_stops_by_patience_and_keeps_the_best_epochs_weights(
    kind: str,
    metrics: list[float],
    patience: int,
    epochs: int,
    best: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tastes, settings = planted_tastes(n_rows=12, ratings=kind == "autorec_user"), PLAIN | {"patience": patience}
    spec = make_spec(tmp_path, kind, tastes, settings | {"epochs": 5})
    set_metrics(monkeypatch, *metrics)
    report = train(spec.as_dict())
    assert (report["epochs"], report["best_epoch"], report["metric"]) == (epochs, best, metrics[best])
    shorter = make_spec(tmp_path, kind, tastes, settings | {"epochs": best + 1}, name="shorter")
    train(replace(shorter, validation_folder=None).as_dict())
    assert weights_of(spec) == weights_of(shorter)
    if best + 1 < epochs:
        longer = make_spec(tmp_path, kind, tastes, settings | {"epochs": epochs}, name="longer")
        train(replace(longer, validation_folder=None).as_dict())
        assert weights_of(spec) != weights_of(longer)


def test_patience_continues_to_count_after_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec(tmp_path, "song_autoencoder", planted_tastes(n_rows=12), PLAIN | {"epochs": 9, "patience": 3})
    set_metrics(monkeypatch, 0.5, 0.4, 0.4, 0.4, 0.9)
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, 2)
        train(spec.as_dict())
    report = train(spec.as_dict())
    assert (report["epochs"], report["best_epoch"]) == (4, 0)


def test_the_average_of_the_weights_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights: list[torch.Tensor] = []
    step = trainer._Trainer._step

    def watched(self: Any, loaded: Any) -> None:
        before = self.network.output.weight.detach().double().clone()
        step(self, loaded)
        weights.extend([*([] if weights else [before]), self.network.output.weight.detach().double().clone()])

    monkeypatch.setattr(trainer._Trainer, "_step", watched)
    spec = make_spec(tmp_path, "song_autoencoder", planted_tastes(), PLAIN | {"average": 0.8})
    train(replace(spec, validation_folder=None).as_dict())
    expected, *after_steps = weights
    for number, after in enumerate(after_steps):
        decay = min(0.8, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * after
    stored = stored_weights(spec)["output.weight"].double()
    torch.testing.assert_close(stored, expected, rtol=0, atol=1e-6)
    assert (stored - after_steps[-1]).abs().max() > 0.01


def test_the_average_of_the_weights_is_validated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    validated: list[torch.Tensor] = []

    def validate(network: SongAutoencoder, *args: Any) -> float:
        validated.append(network.output.weight.detach().clone())
        return 0.5

    monkeypatch.setattr(trainer, "validate", validate)
    spec = make_spec(tmp_path, "song_autoencoder", planted_tastes(), PLAIN | {"average": 0.8})
    train(spec.as_dict())
    alone = make_spec(
        tmp_path, "song_autoencoder", planted_tastes(), PLAIN | {"average": 0.8, "epochs": 1}, name="alone"
    )
    train(replace(alone, validation_folder=None).as_dict())
    # The first of equal metrics is the best.
    assert torch.equal(validated[0], stored_weights(spec)["output.weight"])
    assert torch.equal(validated[0], stored_weights(alone)["output.weight"])


def test_the_log_has_a_line_per_epoch(tmp_path: Path) -> None:
    tastes = planted_tastes()
    spec = make_spec(tmp_path, "mult_vae", tastes, NOISY | {"learning_rate": 0.01})
    report = train(spec.as_dict())
    lines = log_of(spec)
    assert [line["epoch"] for line in lines] == [0, 1, 2]
    assert {line["rows"] for line in lines} == {len(tastes.rows)}
    assert {line["non_zeros"] for line in lines} == {sum(map(len, tastes.rows.values()))}
    assert {line["metric_name"] for line in lines} == {"ndcg@100"}
    assert sum(line["steps"] for line in lines) == report["steps"]
    assert max(line["metric"] for line in lines) == report["metric"]
    assert lines[report["best_epoch"]]["metric"] == report["metric"]
    assert lines[0]["learning_rate"] > lines[2]["learning_rate"] > 0
    assert all({"reconstruction", "kl", "loss"} <= set(line) for line in lines)


def test_without_validation_the_last_weights_are_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = replace(make_spec(tmp_path, "song_autoencoder", planted_tastes(), PLAIN), validation_folder=None)
    with caplog.at_level(logging.INFO):
        report = train(spec.as_dict())
    epochs = [message for message in caplog.messages if message.startswith("epoch")]
    assert len(epochs) == 3
    assert all(re.fullmatch(r"epoch \d of 3: loss \d+\.\d+, \d+\.\d s", message) for message in epochs)
    assert (report["metric"], report["best_epoch"], report["epochs"]) == (None, None, 3)
    assert [line["metric"] for line in log_of(spec)] == [None] * 3
    last = Checkpoints(spec.checkpoints).newest()
    assert last is not None
    assert torch.equal(last.tensors["weights"]["output.weight"], stored_weights(spec)["output.weight"])


def test_trials_end_after_their_steps_and_can_be_resumed(tmp_path: Path) -> None:
    whole, trial = make_specs(tmp_path, "mult_vae", planted_tastes(), NOISY, "whole", "trial")
    report = train(whole.as_dict())
    per_epoch = report["steps"] // 3
    for max_steps, epochs in ((1, 0), (per_epoch, 1), (per_epoch + 2, 1)):
        tried = train(replace(trial, max_steps=max_steps).as_dict())
        assert (tried["steps"], tried["epochs"]) == (max_steps, epochs)
        assert stored_weights(trial)
    assert train(trial.as_dict()) == report
    assert weights_of(trial) == weights_of(whole)


def test_stopping_after_each_epoch_does_not_change_the_result(tmp_path: Path) -> None:
    """A search stops like this; step sizes fall as over all epochs."""
    whole, parts = make_specs(tmp_path, "mult_vae", planted_tastes(), NOISY, "whole", "parts")
    report = train(whole.as_dict())
    for epochs in (1, 2):
        assert train(replace(parts, stop_after=epochs).as_dict())["epochs"] == epochs
    assert train(replace(parts, stop_after=9).as_dict()) == report
    assert weights_of(parts) == weights_of(whole)


def loss_not_a_number_at(patch: pytest.MonkeyPatch, step_of_nan: int, value: float) -> None:
    forward = SongAutoencoder.forward

    def spoilt(self: SongAutoencoder, batch: Batch, step: int) -> Loss:
        loss = forward(self, batch, step)
        return replace(loss, total=loss.total * value) if step == step_of_nan else loss

    patch.setattr(SongAutoencoder, "forward", spoilt)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_training_and_keeps_the_previous_checkpoint(
    value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stopped = make_specs(
        tmp_path, "song_autoencoder", planted_tastes(), PLAIN, "whole", "stopped", checkpoint_minutes=0.0
    )
    report = train(whole.as_dict())
    steps = report["steps"] // report["epochs"]
    expected = rf"epoch 2, step 3 .*models\.song_autoencoder\.learning_rate \(now 0\.02\).*{stopped.checkpoints}"
    with monkeypatch.context() as patch, pytest.raises(TrainingError, match=expected):
        loss_not_a_number_at(patch, steps + 2, value)
        train(stopped.as_dict())
    newest = Checkpoints(stopped.checkpoints).newest()
    assert newest is not None
    assert newest.step == steps + 2
    assert all(tensor.isfinite().all() for tensors in newest.tensors.values() for tensor in tensors.values())
    assert train(stopped.as_dict()) == report
    assert weights_of(stopped) == weights_of(whole)
    assert log_of(stopped) == log_of(whole)


def test_a_learning_rate_that_overflows_is_reported(tmp_path: Path) -> None:
    settings = PLAIN | {"learning_rate": 1e38, "l2": 1.0}
    spec = make_spec(tmp_path, "autorec_user", planted_tastes(ratings=True), settings)
    with pytest.raises(TrainingError, match=r"autorec_user is not a number at epoch 1, step 2 .*1e\+38"):
        train(spec.as_dict())
    assert not (Path(spec.folder) / "network.json").exists()


def test_refeeding_learns_withheld_ratings_and_logs_its_error(tmp_path: Path) -> None:
    """Held-out ratings are 5; predicting the midpoint has an error of 2."""
    settings = {"layers": (8, 4), "epochs": 60, "learning_rate": 0.02, "batch_rows": 20, "average": 0.0}
    settings |= {"weight_decay": 0.0, "dropout": 0.2, "refeed": True}
    spec = make_spec(tmp_path, "deeprec", planted_tastes(ratings=True), settings)
    report, lines = train(spec.as_dict()), log_of(spec)
    assert report["metric"] < 0.4
    assert all(line["loss"] == pytest.approx(line["squared_error"] + line["refeeding_error"]) for line in lines)
    assert all(line["refeeding_error"] > 0 for line in lines)
