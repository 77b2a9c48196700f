"""DeepRec against a plain torch version on dense matrices, and on synthetic ratings."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import selu

from recsys_spark.core.errors import ConfigError
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.deeprec import DeepRec
from recsys_spark.networks.network import Shape
from recsys_spark.networks.settings.deeprec import DeepRecSettings


def batch_of(ratings: NDArray[np.floating]) -> Batch:
    """Build a batch from a dense matrix, in which 0 means no rating."""
    rows, columns = ratings.nonzero()
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(ratings)))])
    return Batch.from_arrays(np.arange(len(ratings)), indptr, columns, ratings[rows, columns], ratings.shape[1])


def some_ratings(seed: int) -> NDArray[np.floating]:
    generator = np.random.default_rng(seed)
    ratings = generator.integers(1, 6, (6, 9)) * (generator.random((6, 9)) < 0.5)
    ratings[2] = 0
    return ratings.astype(np.float32)


def a_network(dropout: float = 0.0, refeed: bool = True) -> DeepRec:
    """Build a network whose output layer is not zero."""
    torch.manual_seed(0)
    network = DeepRec(DeepRecSettings(layers=(5, 4, 7), dropout=dropout, refeed=refeed), Shape(6, 9))
    torch.nn.init.normal_(network.decoder_weight)
    return network


def dense_output(network: DeepRec, x: Tensor) -> Tensor:
    """Compute f(x) without dropout, layer by layer."""
    assert network.first.bias is not None
    code = selu(x @ network.first.weight + network.first.bias)
    for part in (network.encoder, network.decoder):
        for linear in list(part)[::2]:
            assert isinstance(linear, torch.nn.Linear)
            code = selu(code @ linear.weight.T + linear.bias)
    return code @ network.decoder_weight.T + network.decoder_bias


def trained(network: DeepRec, ratings: NDArray[np.floating], steps: int) -> DeepRec:
    batch = batch_of(ratings)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.005)
    for step in range(steps):
        loss = network(batch, step)
        optimiser.zero_grad()
        (loss.total / loss.count).backward()
        optimiser.step()
    return network.eval()


@pytest.mark.parametrize("refeed", [True, False])
def test_loss_and_gradients_are_those_of_the_formula(refeed: bool) -> None:
    ratings = some_ratings(1)
    network = a_network(refeed=refeed)
    weights = list(network.parameters())

    x = torch.from_numpy(ratings)
    output = dense_output(network, x)
    expected = ((output - x) ** 2)[x > 0].sum()
    if refeed:
        given = output.detach()
        expected = expected + (x > 0).sum() * ((dense_output(network, given) - given) ** 2).mean()

    loss = network(batch_of(ratings), 0)
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert loss.count.item() == (ratings > 0).sum()
    pairs = zip(torch.autograd.grad(loss.total, weights), torch.autograd.grad(expected, weights), strict=True)
    for gradient, expected_gradient in pairs:
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-4)


def test_scores_are_the_output() -> None:
    ratings = some_ratings(1)
    network = a_network(dropout=0.8).eval()
    torch.testing.assert_close(network.scores(batch_of(ratings)), dense_output(network, torch.from_numpy(ratings)))
    assert network.encode(batch_of(ratings)).shape == (6, 7)


def test_dropout_acts_in_training_only() -> None:
    network, batch = a_network(dropout=0.8), batch_of(some_ratings(1))
    assert network(batch, 0).total != network(batch, 0).total
    network.eval()
    assert network(batch, 0).total == network(batch, 0).total


def test_rows_of_zero_weight_change_nothing() -> None:
    ratings = some_ratings(2)
    network, batch = a_network(), batch_of(ratings)
    padded = Batch(batch.rows, batch.indptr, batch.indices, batch.values, torch.tensor([1.0] * 4 + [0] * 2), 9)
    alone, loss = network(batch_of(ratings[:4]), 0), network(padded, 0)
    assert loss.total.item() == pytest.approx(alone.total.item(), rel=1e-6)
    assert loss.count == alone.count


def test_a_process_without_rows_adds_no_loss_but_has_every_gradient() -> None:
    network = a_network()
    loss = network(batch_of(np.zeros((0, 9))), 0)
    assert loss.total.item() == loss.count.item() == 0
    assert all((g == 0).all() for g in torch.autograd.grad(loss.total, list(network.parameters())))


def test_columns_without_ratings_keep_the_initial_prediction() -> None:
    ratings = some_ratings(4)
    ratings[:, [3, 8]] = 0
    settings = DeepRecSettings(layers=(5, 4), dropout=0.2, refeed=True, start=5.5)
    network = trained(DeepRec(settings, Shape(6, 9)), ratings, steps=20)
    assert (network.scores(batch_of(ratings))[:, [3, 8]] == 5.5).all()


@pytest.mark.parametrize("refeed", [True, False])
def test_checkerboard_ranks_the_withheld_item_first(refeed: bool) -> None:
    """Even users love even items and hate odd ones.

    The ratings of items i, i + 1 and i + 3 by user i are withheld.
    """
    torch.manual_seed(0)
    users, items = np.indices((12, 12))
    ratings = np.where((users + items) % 2 == 0, 5.0, 1.0)
    withheld = np.isin((items - users) % 12, [0, 1, 3])
    remaining = np.where(withheld, 0, ratings)
    settings = DeepRecSettings(layers=(16, 32), dropout=0.5, refeed=refeed)
    network = trained(DeepRec(settings, Shape(12, 12)), remaining, steps=200)
    scores = np.where(withheld, network.scores(batch_of(remaining)).numpy(), -np.inf)
    assert scores.argmax(axis=1).tolist() == list(range(12))


def test_codes_do_not_depend_on_the_other_rows() -> None:
    ratings = some_ratings(6)
    network = a_network().eval()
    alone = torch.cat([network.encode(batch_of(ratings[i : i + 1])) for i in range(6)])
    torch.testing.assert_close(network.encode(batch_of(ratings)), alone)


def test_refeeding_of_a_large_catalogue_is_refused() -> None:
    large = Shape(10, 600_000)
    with pytest.raises(
        ConfigError, match=r"deeprec\.refeed: .* 128 rows x 600,000 columns .* lower models\.deeprec\.batch_rows"
    ):
        DeepRec(DeepRecSettings(layers=(1,), refeed=True), large)
    DeepRec(DeepRecSettings(layers=(1,), refeed=True, batch_rows=64), large)
    DeepRec(DeepRecSettings(layers=(1,), refeed=False), large)
