"""Optimisers: weight decay of rows that few batches visit, on the number of steps of large data."""

import math
from typing import Any

import pytest
import torch

from recsys_spark.networks.cdae import Cdae
from recsys_spark.networks.deeprec import DeepRec
from recsys_spark.networks.mult_vae import MultVae
from recsys_spark.networks.network import Network, Shape, load_network
from recsys_spark.networks.settings.cdae import CdaeSettings
from recsys_spark.networks.settings.deeprec import DeepRecSettings
from recsys_spark.networks.settings.mult_vae import MultVaeSettings
from recsys_spark.training.optimizers import make_optimizer, step_decay
from tests.networks.batches import rows_of

USERS, STEPS = 1_000_000, 3


def steps_of(network: Network, epoch_steps: int, steps: int) -> None:
    """Train on the first three rows for some steps of an epoch of `epoch_steps`."""
    optimizer = make_optimizer(network, epoch_steps)
    batch = rows_of([[0], [1], [0, 2]], network.shape.n_columns)
    network.set_column_counts(torch.bincount(batch.indices, minlength=batch.n_columns))
    for step in range(steps):
        loss = network(batch, step)
        optimizer.zero_grad()
        torch.autograd.backward(loss.total / loss.count)
        optimizer.step()


@pytest.mark.parametrize(("kind", "rate"), [("cdae", 4e-3 * 0.3), ("svae", 4e-3 * 0.2)])
def test_an_epoch_of_any_length_loses_a_constant_share_of_the_weights(kind: str, rate: float) -> None:
    settings = load_network(kind).Settings()
    full = settings.learning_rate * settings.weight_decay
    assert full == pytest.approx(rate)
    kept = [(1 - settings.learning_rate * step_decay(settings, n)) ** n for n in (1000, 10_000, 100_000)]
    assert kept == pytest.approx([math.exp(-rate * settings.decay_steps)] * 3, rel=1e-3)
    assert all(step_decay(settings, n) == settings.weight_decay for n in (1, settings.decay_steps))


def test_a_decay_of_every_step_is_a_setting() -> None:
    settings = load_network("cdae").Settings(decay_steps=0)
    assert step_decay(settings, 10_000) == settings.weight_decay


def test_a_million_users_keep_their_vectors_between_two_visits() -> None:
    """The batches of 100 of a million users are 10,000 steps; a user without a visit loses 0.0012 * 64 in all."""
    network = Cdae(CdaeSettings(units=2), Shape(USERS, 4))
    torch.nn.init.ones_(network.row_vectors.weight)
    steps_of(network, USERS // 100, STEPS)
    norms = network.row_vectors.weight[3:].norm(dim=1)
    share = 4e-3 * 0.3 * 64 / 10_000
    assert torch.allclose(norms, torch.full_like(norms, math.sqrt(2) * (1 - share) ** STEPS), rtol=1e-6, atol=0)
    kept = (norms.double().mean().item() / math.sqrt(2)) ** (10_000 / STEPS)
    assert kept == pytest.approx(math.exp(-0.0768), rel=2e-3)
    assert (network.row_vectors.weight[:3] - 1).abs().min() > 1e-3


def test_rarely_played_items_keep_their_weights_over_ten_thousand_steps() -> None:
    network = MultVae(MultVaeSettings(hidden=4, latent=2, dropout=0.0), Shape(USERS, 1000))
    before = network.first.weight[3:].detach().clone()
    steps_of(network, 10_000, STEPS)
    kept = (network.first.weight[3:].norm() / before.norm()) ** (10_000 / STEPS)
    assert kept.item() == pytest.approx(math.exp(-3e-3 * 0.1 * 64), rel=0.02)


@pytest.mark.parametrize("changes", [{}, {"weight_decay": 0.5}])
def test_sgd_has_the_same_decay(changes: dict[str, Any]) -> None:
    network = DeepRec(DeepRecSettings(layers=(2,), optimizer="sgd", **changes), Shape(9, 5))
    decays = {group["weight_decay"] for group in make_optimizer(network, 640).param_groups}
    assert decays == {changes.get("weight_decay", 1.0) / 10}
