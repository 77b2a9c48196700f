"""Song autoencoder against its formulas on dense rows, and on synthetic data."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Shape
from recsys_spark.networks.settings.song_autoencoder import SongAutoencoderSettings
from recsys_spark.networks.song_autoencoder import SongAutoencoder
from tests.networks.batches import N, checkerboard, reordered

AS_THE_APP: dict[str, Any] = {}
DENOISING = {"activation": "tanh", "loss": "multinomial", "normalise_input": True, "dropout": 0.5}
both_ways = pytest.mark.parametrize("changes", [AS_THE_APP, DENOISING], ids=["app", "denoising"])


def network(**changes: Any) -> SongAutoencoder:
    torch.manual_seed(0)
    return SongAutoencoder(SongAutoencoderSettings(**{"units": 8, **changes}), Shape(N, N))


@pytest.mark.parametrize("normalise_input", [True, False])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("kind", ["bce", "multinomial"])
def test_loss_equals_that_of_dense_rows_that_count(kind: str, activation: str, normalise_input: bool) -> None:
    model, batch = network(loss=kind, activation=activation, normalise_input=normalise_input), checkerboard()
    batch.weights[2] = 0
    loss = model(batch, step=0)
    x = batch.dense()
    hidden = model.first.dense(functional.normalize(x, dim=1) if normalise_input else x)
    logits = getattr(torch, activation)(hidden) @ model.output_weight.T + model.output_bias
    if kind == "bce":
        rows = functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
    else:
        rows = -(x * functional.log_softmax(logits, dim=1)).sum(1)
    expected = rows @ batch.weights
    torch.testing.assert_close(loss.total, expected, rtol=1e-5, atol=1e-5)
    assert loss.count == N - 1
    weights = list(model.parameters())
    gradients = torch.autograd.grad(loss.total, weights), torch.autograd.grad(expected, weights)
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_the_defaults_are_those_of_the_app() -> None:
    settings = SongAutoencoderSettings()
    assert (settings.units, settings.activation, settings.loss, settings.epochs) == (500, "relu", "bce", 50)
    assert (settings.dropout, settings.normalise_input) == (0, False)


def test_dropout_is_for_training_only() -> None:
    batch = checkerboard()
    noisy, plain = network(dropout=0.9), network()
    assert torch.equal(noisy.eval()(batch, 0).total, plain.train()(batch, 0).total)
    assert not torch.isclose(noisy.train()(batch, 0).total, plain(batch, 0).total)


@both_ways
def test_every_weight_has_a_gradient(changes: dict[str, Any]) -> None:
    model = network(**changes)
    model(checkerboard(), step=0).total.backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())


@both_ways
def test_learns_to_rank_the_withheld_column_first(changes: dict[str, Any]) -> None:
    model, batch = network(**changes), checkerboard()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for step in range(80):
        optimizer.zero_grad()
        loss = model(batch, step)
        (loss.total / loss.count).backward()
        optimizer.step()
    scores = model.eval().scores(batch).masked_fill(batch.dense() > 0, -torch.inf)
    assert scores.argmax(1).tolist() == list(range(N))


@both_ways
def test_codes_are_the_same_each_time_and_in_any_order_of_entries(changes: dict[str, Any]) -> None:
    model, batch = network(**changes).eval(), checkerboard()
    code = model.encode(batch)
    assert code.shape == (N, 8)
    assert torch.equal(code, model.encode(batch))
    torch.testing.assert_close(code, model.encode(reordered(batch)))


@both_ways
def test_an_empty_history_has_finite_scores_and_a_finite_loss(changes: dict[str, Any]) -> None:
    model, empty = (
        network(**changes),
        Batch.from_arrays(np.arange(1), np.array([0, 0]), np.arange(0), np.arange(0.0), N),
    )
    assert model.scores(empty).isfinite().all()
    assert model(empty, step=0).total.isfinite()
