"""SVAE against a loop over users and positions, and on synthetic sequences."""

import numpy as np
import pytest
import torch
from torch import Tensor

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Shape
from recsys_spark.networks.settings.svae import SvaeSettings
from recsys_spark.networks.svae import Svae, last_entries, next_entries

# Shorter and longer than max_length, of one item, empty; unsorted by length.
HISTORIES = [[3, 1, 4], [], [5, 9, 2, 6, 0, 8, 7, 1], [2], [7, 0, 3, 8, 1, 9], [0, 4]]
N_ITEMS = 10


def batch_of(histories: list[list[int]], n_items: int = N_ITEMS, weights: list[float] | None = None) -> Batch:
    indptr = np.cumsum([0, *map(len, histories)])
    indices = np.array([item for history in histories for item in history], dtype=np.int64)
    batch = Batch.from_arrays(np.arange(len(histories)), indptr, indices, np.ones(len(indices)), n_items)
    if weights is None:
        return batch
    return Batch(batch.rows, batch.indptr, batch.indices, batch.values, torch.tensor(weights).float(), n_items)


def a_network(max_length: int = 5) -> Svae:
    torch.manual_seed(0)
    sizes = SvaeSettings(embedding=6, recurrent=5, hidden=4, latent=3, next_items=2, max_length=max_length)
    return Svae(sizes.model_copy(update={"beta": 0.3, "anneal_steps": 10}), Shape(6, N_ITEMS))


def a_trained_network(histories: list[list[int]], next_items: int) -> Svae:
    """Train a network of 12 items for 150 steps of the whole batch."""
    torch.manual_seed(0)
    settings = SvaeSettings(embedding=16, recurrent=16, hidden=16, latent=8, next_items=next_items, beta=0.01)
    network = Svae(settings, Shape(len(histories), 12))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for step in range(150):
        loss = network(batch_of(histories, 12), step)
        optimiser.zero_grad()
        (loss.total / loss.count).backward()
        optimiser.step()
    return network.eval()


def states_one_by_one(network: Svae, history: list[int]) -> list[Tensor]:
    """Compute the GRU states of Cho et al. 2014 item by item, as documented by torch."""
    state, states = torch.zeros(5), []
    weights = dict(network.gru.named_parameters())
    for item in history:
        read = network.embedding.weight[item] @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]
        kept = state @ weights["weight_hh_l0"].T + weights["bias_hh_l0"]
        reset, update = torch.sigmoid(read[:5] + kept[:5]), torch.sigmoid(read[5:10] + kept[5:10])
        new = torch.tanh(read[10:] + reset * kept[10:])
        state = (1 - update) * new + update * state
        states.append(state)
    return states


def latent_of(network: Svae, state: Tensor) -> tuple[Tensor, Tensor]:
    both = network.latent(torch.tanh(network.encoder[0](state)))
    return both[:3], both[3:]


def loss_one_by_one(network: Svae, histories: list[list[int]], beta: float) -> tuple[Tensor, int]:
    total, n_positions = torch.zeros(()), 0
    for history in histories:
        tail = history[-network.settings.max_length :]
        for place, state in enumerate(states_one_by_one(network, tail)[:-1]):
            mean, log_variance = latent_of(network, state)
            logits = network.output(torch.tanh(network.decoder[0](mean)))
            for item in tail[place + 1 : place + 3]:
                total = total - logits.log_softmax(0)[item] / 2
            normal = torch.distributions.Normal(mean, (log_variance / 2).exp())
            unit = torch.distributions.Normal(torch.zeros(3), torch.ones(3))
            total = total + beta * torch.distributions.kl_divergence(normal, unit).sum()
            n_positions += 1
    return total, n_positions


def test_loss_and_gradients_are_those_of_one_user_at_a_time() -> None:
    network = a_network().eval()
    loss = network(batch_of(HISTORIES), 4)
    expected, n_positions = loss_one_by_one(network, HISTORIES, beta=0.3 * 5 / 10)
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert loss.count.item() == n_positions == 2 + 4 + 4 + 1
    weights = list(network.parameters())
    pairs = zip(torch.autograd.grad(loss.total, weights), torch.autograd.grad(expected, weights), strict=True)
    for gradient, expected_gradient in pairs:
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-5)


def test_codes_are_the_mean_after_the_last_item() -> None:
    network = a_network()
    codes = network.encode(batch_of(HISTORIES))
    for history, code in zip(HISTORIES, codes, strict=True):
        states = states_one_by_one(network, history[-5:])
        torch.testing.assert_close(code, latent_of(network, states[-1])[0] if states else torch.zeros(3))


def test_scores_are_the_logits_of_the_code() -> None:
    network = a_network()
    code = network.encode(batch_of(HISTORIES))
    torch.testing.assert_close(network.scores(batch_of(HISTORIES)), network.output(network.decoder(code)))


def test_codes_do_not_depend_on_the_other_rows() -> None:
    network = a_network()
    alone = torch.cat([network.encode(batch_of([history])) for history in HISTORIES])
    torch.testing.assert_close(network.encode(batch_of(HISTORIES)), alone)


def test_only_the_last_part_of_long_histories_counts() -> None:
    network = a_network(max_length=3).eval()
    tails = [history[-3:] for history in HISTORIES]
    assert network(batch_of(HISTORIES), 0).total == network(batch_of(tails), 0).total
    assert network.encode(batch_of(HISTORIES)).equal(network.encode(batch_of(tails)))


def test_rows_of_zero_weight_change_nothing() -> None:
    network = a_network().eval()
    loss = network(batch_of(HISTORIES, weights=[1, 1, 0, 1, 1, 0]), 3)
    alone = network(batch_of([HISTORIES[i] for i in (0, 1, 3, 4)]), 3)
    assert loss.total.item() == pytest.approx(alone.total.item(), rel=1e-6)
    assert loss.count == alone.count


@pytest.mark.parametrize("histories", [[], [[]], [[], [2], []]])
def test_without_positions_the_loss_is_zero_with_every_gradient(histories: list[list[int]]) -> None:
    network = a_network()
    loss = network(batch_of(histories), 0)
    assert loss.total.item() == loss.count.item() == 0
    assert all((g == 0).all() for g in torch.autograd.grad(loss.total, list(network.parameters())))
    assert network.scores(batch_of(histories)).isfinite().all()


def test_divergence_is_annealed_and_noise_is_for_training_only() -> None:
    network, batch = a_network().eval(), batch_of(HISTORIES)
    first, later, last = (network(batch, step) for step in (0, 9, 1000))
    likelihood, divergence = first.parts["likelihood"], first.parts["divergence"]
    torch.testing.assert_close(first.total, likelihood + 0.03 * divergence)
    torch.testing.assert_close(later.total, likelihood + 0.3 * divergence)
    assert later.total == last.total
    network.train()
    assert network(batch, 0).total != network(batch, 0).total


def test_last_entries_by_hand() -> None:
    cut = last_entries(batch_of([[1, 2, 3], [], [4], [5, 6]]), 2)
    assert (cut.indptr.tolist(), cut.indices.tolist()) == ([0, 2, 2, 3, 5], [2, 3, 4, 5, 6])


def test_next_entries_by_hand() -> None:
    positions, targets = next_entries(batch_of([[7, 3, 5, 1], [2], [8, 9], [4, 6]], weights=[1, 1, 1, 0]), 2)
    assert positions.tolist() == [0, 1, 2, 5]
    assert targets.rows.tolist() == [0, 0, 0, 2]
    assert targets.indptr.tolist() == [0, 2, 4, 5, 6]
    assert targets.indices.tolist() == [3, 5, 5, 1, 1, 9]
    assert targets.values.tolist() == [0.5] * 6


def test_checkerboard_ranks_the_withheld_item_first() -> None:
    """Even users play the even items in random order, odd users the odd ones; the last one is withheld."""
    generator = np.random.default_rng(0)
    orders = [(generator.permutation(6) * 2 + user % 2).tolist() for user in range(40)]
    network = a_trained_network(orders, next_items=4)
    scores = network.scores(batch_of([order[:-1] for order in orders], 12))
    for order, row in zip(orders, scores, strict=True):
        row[order[:-1]] = -torch.inf
        assert row.argmax() == order[-1]


def test_the_next_item_of_a_known_order_ranks_first() -> None:
    """Histories count 0, 1, 2, ... from different starts: the next item depends on the last one alone."""
    histories = [[(start + i) % 12 for i in range(length)] for start in range(12) for length in (4, 6, 8)]
    network = a_trained_network(histories, next_items=1)
    best = network.scores(batch_of(histories, 12)).argmax(dim=1)
    assert best.tolist() == [(history[-1] + 1) % 12 for history in histories]


def test_training_starts_from_the_popularity_of_the_items() -> None:
    torch.manual_seed(0)
    network = Svae(SvaeSettings(), Shape(6, N_ITEMS))
    counts = torch.tensor([40, 0, 3, 7, 1, 9, 20, 2, 5, 13])
    network.set_column_counts(counts)
    shares = torch.softmax(network.scores(batch_of(HISTORIES)), dim=1)
    expected = counts.clamp_min(0.5) / counts.clamp_min(0.5).sum()
    torch.testing.assert_close(shares, expected.expand(len(HISTORIES), -1), rtol=0.3, atol=0)
