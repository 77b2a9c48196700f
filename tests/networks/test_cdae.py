"""CDAE against its formulas on dense rows, and on synthetic data."""

from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.cdae import Cdae
from recsys_spark.networks.network import Shape
from recsys_spark.networks.settings.cdae import CdaeSettings
from tests.networks.batches import N, checkerboard, reordered


def network(dropout: float = 0.5) -> Cdae:
    """Build a network whose row vectors are not zero."""
    torch.manual_seed(0)
    model = Cdae(CdaeSettings(units=8, dropout=dropout), Shape(N, N))
    torch.nn.init.normal_(model.row_vectors.weight)
    return model


def test_loss_is_the_cross_entropy_of_all_columns_in_rows_that_count() -> None:
    model, batch = network(dropout=0), replace(checkerboard(), rows=torch.arange(N).flip(0))
    batch.weights[2] = 0
    loss = model(batch, step=0)
    x = batch.dense()
    code = torch.sigmoid(model.first.dense(x) + model.row_vectors.weight.flip(0))
    logits = code @ model.output_weight.T + model.output_bias
    expected = functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1) @ batch.weights
    torch.testing.assert_close(loss.total, expected, rtol=1e-5, atol=1e-5)
    assert loss.count == N - 1
    weights = list(model.parameters())
    gradients = torch.autograd.grad(loss.total, weights), torch.autograd.grad(expected, weights)
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_the_whole_history_is_rebuilt_from_what_dropout_leaves() -> None:
    """The target is the whole history, even if dropout removes all of the input."""
    model, batch = network(dropout=0.999_999), checkerboard()
    nothing = batch.with_values(torch.zeros_like(batch.values))
    logits = model.encode_trained(nothing) @ model.output_weight.T + model.output_bias
    expected = functional.binary_cross_entropy_with_logits(logits, batch.dense(), reduction="sum")
    torch.testing.assert_close(model.train()(batch, step=0).total, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(model.eval()(batch, step=0).total, network(dropout=0)(batch, step=0).total)


def test_only_rows_of_the_batch_that_count_learn_their_vector() -> None:
    batch = replace(checkerboard(), rows=torch.arange(N).clamp_max(8))
    batch.weights[3] = 0
    model = network()
    (gradient,) = torch.autograd.grad(model(batch, step=0).total, model.row_vectors.weight)
    learning = gradient.abs().sum(1) > 0
    assert learning.nonzero().flatten().tolist() == [0, 1, 2, 4, 5, 6, 7, 8]


def test_every_weight_has_a_gradient() -> None:
    model = network()
    model(checkerboard(), step=0).total.backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())


def test_learns_to_rank_the_withheld_column_first_with_and_without_the_vectors_of_rows() -> None:
    torch.manual_seed(0)
    model, batch = Cdae(CdaeSettings(units=8), Shape(N, N)), checkerboard()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for step in range(80):
        optimizer.zero_grad()
        loss = model(batch, step)
        (loss.total / loss.count).backward()
        optimizer.step()
    model.eval()
    for code in (model.encode(batch), model.encode_trained(batch)):
        scores = code @ model.output_weight.T + model.output_bias
        assert scores.masked_fill(batch.dense() > 0, -torch.inf).argmax(1).tolist() == list(range(N))


def test_codes_of_histories_alone_do_not_depend_on_row_numbers() -> None:
    model, batch = network().eval(), checkerboard()
    unseen = replace(batch, rows=batch.rows + 1_000_000)
    code = model.encode(batch)
    assert code.shape == (N, 8)
    assert torch.equal(code, model.encode(batch))
    assert torch.equal(code, model.encode(unseen))
    torch.testing.assert_close(code, model.encode(reordered(batch)))
    assert not torch.allclose(code, model.encode_trained(batch))


def test_untrained_vectors_of_rows_change_nothing() -> None:
    model, batch = Cdae(CdaeSettings(units=8), Shape(N, N)), checkerboard()
    assert torch.equal(model.encode(batch), model.encode_trained(batch))


def test_an_empty_history_has_finite_scores_and_a_finite_loss() -> None:
    model, empty = network(), Batch.from_arrays(np.arange(1), np.array([0, 0]), np.arange(0), np.arange(0.0), N)
    assert model.scores(empty).isfinite().all()
    assert model(empty, step=0).total.isfinite()
