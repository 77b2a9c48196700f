"""Side information: effect of profile features on user codes."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Network, Shape, load_network
from recsys_spark.networks.side_information import SideInformation
from recsys_spark.training.optimizers import make_optimizer
from tests.networks.batches import TINY, make_network, rows_of

kinds = pytest.mark.parametrize("kind", ["cdae", "matrix_factorization", "implicit_factorization"])
NAMED: dict[str, Any] = {"side_information": ("country", "age_group")}


def two_countries(n_rows: int = 40, n_columns: int = 10) -> Batch:
    """Build rows of two columns each: even columns in country 1, odd ones in country 2; no ages."""
    histories = [[(row % 2 + 2 * (row // 2 + step)) % n_columns for step in range(2)] for row in range(n_rows)]
    side = torch.tensor([[1 + row % 2, 0] for row in range(n_rows)])
    return replace(rows_of([sorted(history) for history in histories], n_columns), side=side)


def trained(kind: str, batch: Batch, **changes: Any) -> Network:
    network = make_network(kind, Shape(len(batch), batch.n_columns, 2), **changes)
    network.set_column_counts(torch.bincount(batch.indices, minlength=batch.n_columns))
    optimizer = make_optimizer(network, 1)
    for step in range(150):
        torch.manual_seed(step)
        loss = network(batch, step)
        optimizer.zero_grad()
        (loss.total / loss.count).backward()
        optimizer.step()
    return network.eval()


def test_vectors_of_features_add_up_and_missing_ones_add_nothing() -> None:
    side = SideInformation(2, 3)
    assert not side.vectors.weight.any()
    with torch.no_grad():
        side.vectors.weight[1:] = torch.tensor([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    batch = rows_of([[0], [1], [2]], 3)
    with_features = replace(batch, side=torch.tensor([[1, 2], [0, 2], [0, 0]]))
    assert side(with_features).tolist() == [[11, 22, 33], [10, 20, 30], [0, 0, 0]]
    assert not side(batch).any()


@kinds
def test_shards_hold_profiles_only_if_settings_name_fields(kind: str) -> None:
    network = load_network(kind)
    plain, named = (network.Settings.model_validate(TINY[kind] | changes) for changes in ({}, NAMED))
    assert network.shard_spec_of(plain) == network.shard_spec
    assert network.shard_spec_of(named) == replace(network.shard_spec, side=("country", "age_group"))


@kinds
def test_side_information_does_not_change_initial_weights(kind: str) -> None:
    batch, shape = two_countries(), Shape(40, 10, 2)
    plain, named = make_network(kind, shape), make_network(kind, shape, **NAMED)
    losses = []
    for network in (plain, named):
        torch.manual_seed(1)
        losses.append(network(batch, 0).total.item())
    assert losses[0] == pytest.approx(losses[1])


@kinds
def test_side_information_ranks_items_popular_in_the_country_higher(kind: str) -> None:
    batch = two_countries()
    if kind == "matrix_factorization":
        # Ratings depend on the country alone; every user has rated one column of each kind.
        histories = [[row // 2 % 5 * 2, row // 3 % 5 * 2 + 1] for row in range(len(batch))]
        values = torch.tensor([5.0 if row % 2 == place else 1.0 for row in range(len(batch)) for place in range(2)])
        batch = replace(rows_of(histories, 10), values=values, side=batch.side)
    own = torch.arange(10)[None] % 2 == batch.rows[:, None] % 2
    ahead = []
    for changes in ({}, NAMED):
        network = trained(kind, batch, learning_rate=0.03, **changes)
        scores = network.score_block(network.decode(network.encode_trained(batch)), 0, 10).detach()
        ahead.append(((scores * own).sum(1) - (scores * ~own).sum(1)).mean().item() / 5 / scores.std().item())
    assert ahead[1] > ahead[0]


@kinds
def test_codes_of_unseen_users_depend_on_their_history_alone(kind: str) -> None:
    batch = two_countries()
    network = trained(kind, batch, **NAMED)
    unknown = network.encode(replace(batch, side=None))
    assert torch.equal(network.encode(batch), unknown)
    moved = network.encode_trained(batch) - network.encode_trained(replace(batch, side=None))
    assert moved.abs().sum() > 0 and not network.state_dict()["side.vectors.weight"][0].any()


def test_penalty_of_side_information_equals_that_of_own_vectors() -> None:
    batch = replace(rows_of([[0, 2], [1]], 3), side=torch.tensor([[1, 2], [0, 1]]))
    network = make_network("matrix_factorization", Shape(2, 3, 2), l2=0.3, bias_l2=0.5, damping=0.5, **NAMED)
    network.set_column_counts(torch.tensor([4, 1, 9]))
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn_like(weight))
    state = network.state_dict()
    side = state["side.vectors.weight"]
    added = torch.stack([side[1] + side[2], side[0] + side[1]])
    codes = torch.cat([state["user_vectors"], state["user_bias"][:, None]], 1) + added
    expected = 0.0
    for row, column in ((0, 0), (0, 2), (1, 1)):
        score = codes[row, :-1] @ state["item_vectors"][column] + codes[row, -1]
        score = score + state["item_bias"][column] + state["offset"]
        of_user = state["user_vectors"][row].square().sum() + added[row, :-1].square().sum()
        of_item = state["item_vectors"][column].square().sum()
        biases = state["user_bias"][row] ** 2 + added[row, -1] ** 2 + state["item_bias"][column] ** 2
        vectors = of_user / (2, 1)[row] ** 0.5 + of_item / (4, 1, 9)[column] ** 0.5
        expected += ((score - 1) ** 2 + 0.3 * vectors + 0.5 * biases).item()
    assert network(batch, 0).total.item() == pytest.approx(expected, rel=1e-5)
