"""Mult-VAE against its formulas on dense rows, and on synthetic data."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.mult_vae import MultVae
from recsys_spark.networks.network import Shape
from recsys_spark.networks.settings.mult_vae import MultVaeSettings
from tests.networks.batches import N, checkerboard, reordered


def network(**changes: Any) -> MultVae:
    torch.manual_seed(0)
    settings = MultVaeSettings(**{"hidden": 16, "latent": 4, "anneal_steps": 20, **changes})
    return MultVae(settings, Shape(N, N))


def expected_parts(model: MultVae, batch: Batch, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Compute reconstruction and divergence of each row, from dense rows and the given noise."""
    x = batch.dense()
    hidden = torch.tanh(model.first.dense(functional.normalize(x, dim=1)))
    mean, log_variance = model.posterior(hidden).split(model.settings.latent, dim=1)
    prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    decoded = torch.tanh(model.decoder(mean + noise * posterior.stddev))
    logits = decoded @ model.output_weight.T + model.output_bias
    reconstruction = -(x * functional.log_softmax(logits, dim=1)).sum(1)
    return reconstruction, torch.distributions.kl_divergence(posterior, prior).sum(1)


@pytest.mark.parametrize("training", [True, False])
def test_loss_is_the_likelihood_and_the_divergence_of_rows_that_count(training: bool) -> None:
    model, batch = network(dropout=0).train(training), checkerboard()
    batch.weights[2] = 0
    torch.manual_seed(5)
    loss = model(batch, step=10)
    torch.manual_seed(5)
    noise = torch.randn(N, 4) if training else torch.zeros(N, 4)
    reconstruction, kl = expected_parts(model, batch, noise)
    torch.testing.assert_close(loss.parts["reconstruction"], reconstruction @ batch.weights, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(loss.parts["kl"], kl @ batch.weights, rtol=1e-5, atol=1e-5)
    expected = (reconstruction + 0.1 * kl) @ batch.weights
    torch.testing.assert_close(loss.total, expected, rtol=1e-5, atol=1e-5)
    assert loss.count == N - 1
    weights = list(model.parameters())
    gradients = torch.autograd.grad(loss.total, weights), torch.autograd.grad(expected, weights)
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_scores_are_the_logits_of_the_mean_code() -> None:
    model, batch = network().eval(), checkerboard()
    likelihood = (batch.dense() * functional.log_softmax(model.scores(batch), dim=1)).sum(1)
    torch.testing.assert_close(-likelihood, expected_parts(model, batch, torch.zeros(N, 4))[0])


def test_annealing_is_linear_and_ends() -> None:
    model = network(beta=0.4)
    assert [model.beta(step) for step in (0, 5, 20, 1000)] == pytest.approx([0, 0.1, 0.4, 0.4])
    assert network(beta=0.4, anneal_steps=0).beta(1) == 0.4


def test_dropout_is_for_training_only() -> None:
    batch, step = checkerboard(), 0
    noisy, plain = network(dropout=0.9), network(dropout=0)
    assert torch.equal(noisy.eval()(batch, step).total, plain.eval()(batch, step).total)
    torch.manual_seed(1)
    total = noisy.train()(batch, step).total
    torch.manual_seed(1)
    assert not torch.isclose(total, plain.train()(batch, step).total)


def test_every_weight_has_a_gradient() -> None:
    model = network()
    model(checkerboard(), step=10).total.backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())


def test_learns_to_rank_the_withheld_column_first() -> None:
    model, batch = network(), checkerboard()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for step in range(80):
        optimizer.zero_grad()
        loss = model(batch, step)
        (loss.total / loss.count).backward()
        optimizer.step()
    scores = model.eval().scores(batch).masked_fill(batch.dense() > 0, -torch.inf)
    assert scores.argmax(1).tolist() == list(range(N))


def test_codes_are_the_same_each_time_and_in_any_order_of_entries() -> None:
    model, batch = network().eval(), checkerboard()
    code = model.encode(batch)
    assert code.shape == (N, 4)
    assert torch.equal(code, model.encode(batch))
    torch.testing.assert_close(code, model.encode(reordered(batch)))


def test_an_empty_history_has_finite_scores_and_only_a_divergence() -> None:
    model, empty = network(), Batch.from_arrays(np.arange(1), np.array([0, 0]), np.arange(0), np.arange(0.0), N)
    assert model.scores(empty).isfinite().all()
    loss = model(empty, step=5)
    assert loss.parts["reconstruction"] == 0
    assert loss.total.isfinite()
