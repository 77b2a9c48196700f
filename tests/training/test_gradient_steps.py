"""Training against a plain loop: a batch at a time, and every loss read at its step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recsys_spark.core.errors import TrainingError
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Loss, Shape
from recsys_spark.networks.song_autoencoder import SongAutoencoder
from recsys_spark.storage.shard_format import Manifest
from recsys_spark.training import step_losses
from recsys_spark.training.epoch_schedule import Epoch, derive_seed
from recsys_spark.training.optimizers import make_optimizer, set_learning_rate
from recsys_spark.training.shard_loader import Counts
from recsys_spark.training.spec import TrainSpec
from recsys_spark.training.trainer import train
from tests.training.runs import NOISY, PLAIN, log_of, make_spec, stored_weights
from tests.training.shard_folders import planted_tastes

STEPS = {"batch_rows": 12, "epochs": 3, "learning_rate": 0.02}


def train_plainly(spec: TrainSpec) -> tuple[dict[str, Tensor], list[float]]:
    """Train by a minimal loop and return the weights, or their averages, and the losses."""
    folder, settings = Path(spec.train_folder), spec.network_settings()
    manifest = Manifest.read(folder)
    torch.manual_seed(derive_seed(spec.seed, "weights"))
    network = spec.network(Shape(manifest.n_rows, manifest.n_columns))
    epochs = [
        Epoch(folder, manifest, settings.batch_rows, 1, derive_seed(3, "epoch", epoch), network.similar_lengths)
        for epoch in range(settings.epochs)
    ]
    columns = np.concatenate([rows.entries.indices for rows in epochs[0].batches(0, Counts())])
    network.set_column_counts(torch.from_numpy(np.bincount(columns, minlength=manifest.n_columns)))
    optimizer = make_optimizer(network, epochs[0].steps)
    averages = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    losses, step = [], 0
    for number, epoch in enumerate(epochs):
        total, count = 0.0, 0.0
        for place, rows in enumerate(epoch.batches(0, Counts())):
            entries = rows.entries
            batch = Batch.from_arrays(rows.numbers, entries.indptr, entries.indices, entries.values, manifest.n_columns)
            set_learning_rate(optimizer, settings, number + place / epoch.steps)
            torch.manual_seed(derive_seed(spec.seed, step, 0))
            loss: Loss = network(batch, step)
            total, count = total + loss.total.item(), count + loss.count.item()
            optimizer.zero_grad()
            (loss.total * (1 / loss.count.item())).backward()
            if settings.clip_norm:
                torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
            optimizer.step()
            for name, weight in network.named_parameters():
                averages[name].lerp_(weight.detach(), 1 - min(settings.average, (1 + step) / (10 + step)))
            step += 1
        losses.append(total / count)
    return (averages if settings.average else dict(network.named_parameters())), losses


@pytest.mark.parametrize(
    ("kind", "settings", "ratings"),
    [
        ("mult_vae", NOISY | {"clip_norm": 0.05}, False),
        ("song_autoencoder", PLAIN | {"loss": "multinomial", "dropout": 0.3}, False),
        ("cdae", PLAIN | {"weight_decay": 0.1}, False),
        ("svae", STEPS | {"embedding": 6, "recurrent": 5, "hidden": 4, "latent": 3}, False),
        ("implicit_factorization", STEPS | {"rank": 3}, False),
        ("autorec_user", STEPS | {"units": 5}, True),
        ("deeprec", STEPS | {"layers": (5, 3), "refeed": True}, True),
        ("matrix_factorization", STEPS | {"rank": 3, "optimizer": "sgd", "learning_rate": 0.001}, True),
        ("neural_encoder", STEPS | {"embedding": 3, "units": 4}, True),
    ],
)
@pytest.mark.parametrize("read_steps", [1, 64])
def test_training_equals_a_plain_loop_bit_for_bit(
    kind: str,
    settings: Mapping[str, Any],
    ratings: bool,
    read_steps: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(step_losses, "READ_STEPS", read_steps)
    spec = make_spec(tmp_path, kind, planted_tastes(41, ratings=ratings), settings, validation_folder=None)
    train(spec.as_dict())
    weights, losses = train_plainly(spec)
    stored = stored_weights(spec)
    assert all(torch.equal(stored[name], weight) for name, weight in weights.items())
    assert [line["loss"] for line in log_of(spec)] == losses
    assert len(set(losses)) == 3


def test_a_network_whose_loss_has_another_count_than_its_loss_count_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SongAutoencoder, "loss_count", lambda self, batch: batch.values.sum())
    spec = make_spec(tmp_path, "song_autoencoder", planted_tastes(), PLAIN)
    with pytest.raises(TrainingError, match=r"song_autoencoder: the count of a loss is 12\.0, .* define loss_count"):
        train(spec.as_dict())
