"""AutoRec against its formula on dense matrices, and on synthetic ratings."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys_spark.networks.autorec import AutoRecItem, AutoRecUser
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Shape
from recsys_spark.networks.settings.autorec import AutoRecItemSettings, AutoRecUserSettings


def batch_of(ratings: NDArray[np.floating]) -> Batch:
    """Build a batch from a dense matrix, in which 0 means no rating."""
    rows, columns = ratings.nonzero()
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(ratings)))])
    return Batch.from_arrays(np.arange(len(ratings)), indptr, columns, ratings[rows, columns], ratings.shape[1])


def some_ratings(seed: int, n_rows: int = 6, n_columns: int = 9) -> NDArray[np.floating]:
    generator = np.random.default_rng(seed)
    ratings = generator.integers(1, 6, (n_rows, n_columns)) * (generator.random((n_rows, n_columns)) < 0.5)
    ratings[2] = 0
    return ratings.astype(np.float32)


def a_network(shape: Shape, **settings: float) -> AutoRecUser:
    """Build a network whose output layer is not zero."""
    torch.manual_seed(0)
    network = AutoRecUser(AutoRecUserSettings.model_validate({"units": 4, **settings}), shape)
    torch.nn.init.normal_(network.decoder_weight)
    torch.nn.init.normal_(network.decoder_bias)
    return network


def trained(network: AutoRecItem, ratings: NDArray[np.floating], steps: int, step_size: float = 0.02) -> AutoRecItem:
    batch = batch_of(ratings)
    optimiser = torch.optim.Adam(network.parameters(), lr=step_size)
    for step in range(steps):
        loss = network(batch, step)
        optimiser.zero_grad()
        (loss.total / loss.count).backward()
        optimiser.step()
    return network.eval()


def gradients(network: torch.nn.Module, total: Tensor) -> dict[str, Tensor]:
    names, weights = zip(*network.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(total, weights), strict=True))


def test_loss_and_gradients_are_those_of_the_formula() -> None:
    ratings = some_ratings(1)
    network = a_network(Shape(10, 9), l2=7.0)
    loss = network(batch_of(ratings), 0)

    x = torch.from_numpy(ratings)
    v, w, bias = network.encoder.weight, network.decoder_weight, network.encoder.bias
    assert bias is not None
    predicted = torch.sigmoid(x @ v + bias) @ w.T + network.decoder_bias
    errors = ((predicted - x) ** 2)[x > 0].sum()
    expected = errors + 6 / 10 * 7.0 / 2 * ((v**2).sum() + (w**2).sum())

    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert loss.parts["squared_error"].item() == pytest.approx(errors.item(), rel=1e-5)
    assert loss.count.item() == (ratings > 0).sum()
    for name, gradient in gradients(network, expected).items():
        torch.testing.assert_close(gradients(network, network(batch_of(ratings), 0).total)[name], gradient)


def test_rows_of_zero_weight_change_nothing() -> None:
    ratings = some_ratings(2)
    network = a_network(Shape(10, 9), l2=7.0)
    batch = batch_of(ratings)
    padded = Batch(batch.rows, batch.indptr, batch.indices, batch.values, torch.tensor([1.0] * 4 + [0] * 2), 9)
    alone, loss = network(batch_of(ratings[:4]), 0), network(padded, 0)
    assert loss.total.item() == pytest.approx(alone.total.item(), rel=1e-6)
    assert loss.count == alone.count
    expected = gradients(network, alone.total)
    for name, gradient in gradients(network, loss.total).items():
        torch.testing.assert_close(gradient, expected[name])


def test_a_process_without_rows_adds_no_loss_but_has_every_gradient() -> None:
    network = a_network(Shape(10, 9))
    loss = network(batch_of(np.zeros((0, 9))), 0)
    assert loss.total.item() == loss.count.item() == 0
    assert all((gradient == 0).all() for gradient in gradients(network, loss.total).values())


def test_the_batches_of_an_epoch_carry_the_penalty_once() -> None:
    ratings = some_ratings(3)
    network = a_network(Shape(6, 9), l2=3.0)
    whole = network(batch_of(ratings), 0).total
    parts = network(batch_of(ratings[:4]), 0).total + network(batch_of(ratings[4:]), 0).total
    assert parts.item() == pytest.approx(whole.item(), rel=1e-6)


def test_each_rating_carries_its_share_of_the_penalty_of_its_column() -> None:
    ratings = some_ratings(3)
    ratings[:, 8] = 0
    counts = (ratings > 0).sum(axis=0)
    assert counts[:8].all()
    network = a_network(Shape(6, 9), l2=3.0)
    network.set_column_counts(torch.from_numpy(counts))
    with torch.no_grad():
        squares = (network.encoder.weight**2 + network.decoder_weight**2).sum(1)
    parts = [batch_of(ratings[:4]), batch_of(ratings[4:])]
    shares = [(ratings[:4] > 0).sum(axis=0), (ratings[4:] > 0).sum(axis=0)]
    for batch, rated, rows in zip(parts, shares, (4, 2), strict=True):
        expected = torch.from_numpy(np.where(counts > 0, rated / np.maximum(counts, 1), rows / 6)).float()
        assert network.penalty(batch).item() == pytest.approx((1.5 * expected @ squares).item(), rel=1e-5)
    assert sum(network.penalty(batch).item() for batch in parts) == pytest.approx(1.5 * squares.sum().item(), rel=1e-5)


def test_columns_without_a_rating_in_the_batch_have_no_gradient() -> None:
    network = a_network(Shape(1_000_000, 9))
    network.set_column_counts(torch.ones(9, dtype=torch.int64))
    found = gradients(network, network(batch_of(np.array([[0, 5.0, 0, 3, 0, 0, 0, 0, 0]])), 0).total)
    for name in ("encoder.weight", "decoder_weight"):
        assert found[name].abs().sum(1).nonzero()[:, 0].tolist() == [1, 3]


def test_columns_without_ratings_keep_the_initial_prediction() -> None:
    ratings = some_ratings(4)
    ratings[:, [3, 8]] = 0
    settings = AutoRecUserSettings(units=4, l2=0.1, start=5.5)
    network = trained(AutoRecUser(settings, Shape(6, 9)), ratings, steps=20)
    scores = network.scores(batch_of(ratings))
    assert (scores[:, [3, 8]] == 5.5).all()
    assert not (scores[:, [0, 1]] == 5.5).any()


@pytest.mark.parametrize("network_class", [AutoRecItem, AutoRecUser])
def test_a_planted_taste_is_found_in_withheld_ratings(network_class: type[AutoRecItem]) -> None:
    generator = np.random.default_rng(5)
    truth = 3 + np.clip(generator.normal(size=(80, 2)) @ generator.normal(size=(2, 40)), -2, 2)
    seen = generator.random(truth.shape) < 0.6
    settings = AutoRecItemSettings(units=20, l2=0.5)
    network = trained(network_class(settings, Shape(80, 40)), np.where(seen, truth, 0), steps=300)
    predicted = network.scores(batch_of(np.where(seen, truth, 0))).numpy()
    error = np.sqrt(((predicted - truth)[~seen] ** 2).mean())
    assert error < 0.6 * np.sqrt(((truth[seen].mean() - truth)[~seen] ** 2).mean())


def test_checkerboard_ranks_the_withheld_item_first() -> None:
    """Even users love even items and hate odd ones.

    The ratings of items i, i + 1 and i + 3 by user i are withheld.
    """
    users, items = np.indices((12, 12))
    ratings = np.where((users + items) % 2 == 0, 5.0, 1.0)
    withheld = np.isin((items - users) % 12, [0, 1, 3])
    remaining = np.where(withheld, 0, ratings)
    network = trained(AutoRecUser(AutoRecUserSettings(units=8, l2=0.1), Shape(12, 12)), remaining, steps=300)
    scores = np.where(withheld, network.scores(batch_of(remaining)).numpy(), -np.inf)
    assert scores.argmax(axis=1).tolist() == list(range(12))


def test_codes_do_not_depend_on_the_other_rows() -> None:
    ratings = some_ratings(6)
    network = a_network(Shape(6, 9))
    together = network.encode(batch_of(ratings))
    alone = torch.cat([network.encode(batch_of(ratings[i : i + 1])) for i in range(6)])
    torch.testing.assert_close(together, alone)


def test_each_variant_declares_its_shards_and_fold_in() -> None:
    assert (AutoRecItem.shard_spec.rows, AutoRecItem.fold_in) == ("items", "none")
    assert (AutoRecUser.shard_spec.rows, AutoRecUser.fold_in) == ("users", "forward")
    assert {AutoRecItem.metric, AutoRecUser.metric} == {"rmse"}
    assert {AutoRecItem.shard_spec.values, AutoRecUser.shard_spec.values} == {"rating"}


def test_biases_have_no_weight_decay() -> None:
    decayed, spared = a_network(Shape(6, 9)).parameter_groups()
    assert [p.dim() for p in decayed["params"]] == [2, 2]
    assert ([p.dim() for p in spared["params"]], spared["weight_decay"]) == ([1, 1], 0.0)
