"""Factorisations by gradient descent and the neural encoder, against their formulas."""

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

from recsys_spark.networks import code_solvers
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.code_solvers import solve_logistic_codes, solve_ridge_codes
from recsys_spark.networks.implicit_factorization import ImplicitFactorization
from recsys_spark.networks.matrix_factorization import MatrixFactorization
from recsys_spark.networks.network import Shape
from recsys_spark.networks.neural_encoder import NeuralEncoder
from recsys_spark.networks.settings.implicit_factorization import ImplicitFactorizationSettings
from recsys_spark.networks.settings.matrix_factorization import MatrixFactorizationSettings
from recsys_spark.networks.settings.neural_encoder import NeuralEncoderSettings
from tests.networks.batches import checkerboard, rows_of


def factorization(shape: Shape, **settings: object) -> MatrixFactorization:
    torch.manual_seed(0)
    return MatrixFactorization(MatrixFactorizationSettings.model_validate({"rank": 3, **settings}), shape)


def rated() -> Batch:
    """Build a batch of three rows with ratings 1 to 5; the second row is empty."""
    values = np.array([5.0, 3.0, 1.0, 4.0, 2.0])
    return Batch.from_arrays(np.arange(3), np.array([0, 2, 2, 5]), np.array([0, 2, 0, 1, 3]), values, 4)


def test_the_loss_is_squared_errors_plus_a_damped_penalty_per_rating() -> None:
    network, batch = factorization(Shape(3, 4), l2=0.1, bias_l2=0.02, damping=0.5), rated()
    network.set_column_counts(torch.tensor([2, 1, 9, 1]))
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight))
    p, q, of_users, of_items = network.user_vectors, network.item_vectors, network.user_bias, network.item_bias
    expected = 0.0
    ratings_of_row, ratings_of_column = {0: 2, 2: 3}, [2, 1, 9, 1]
    for row, column, value in zip(batch.entry_rows().tolist(), batch.indices.tolist(), batch.values, strict=True):
        error = p[row] @ q[column] + of_users[row] + of_items[column] + network.offset - value
        vectors = (
            p[row] @ p[row] / ratings_of_row[row] ** 0.5 + q[column] @ q[column] / ratings_of_column[column] ** 0.5
        )
        biases = of_users[row] ** 2 + of_items[column] ** 2
        expected += (error**2 + 0.1 * vectors + 0.02 * biases).item()
    loss = network(batch, 0)
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)
    assert loss.count == 5


def test_ridge_codes_solve_the_normal_equations() -> None:
    batch, vectors, targets = rated(), torch.randn(4, 3), torch.randn(5)
    codes = solve_ridge_codes(batch, vectors, targets, torch.tensor([0.6, 0.0, 0.9])[:, None].expand(3, 3))
    rated_vectors = vectors[[0, 1, 3]]
    expected = torch.linalg.solve(rated_vectors.T @ rated_vectors + 0.9 * torch.eye(3), rated_vectors.T @ targets[2:])
    torch.testing.assert_close(codes[2], expected, rtol=1e-4, atol=1e-5)
    assert (codes[1] == 0).all()


def test_logistic_codes_have_a_zero_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    batch, vectors, biases = rated(), torch.randn(4, 3), torch.randn(4)
    ridge = torch.tensor([0.3, 0.0, 0.05])[:, None].expand(3, 3)
    codes = solve_logistic_codes(batch, vectors, biases, ridge, steps=300).requires_grad_()
    losses = []
    for row, columns in ((0, [0, 2]), (2, [0, 1, 3])):
        scores = vectors @ codes[row] + biases
        everything = len(columns) / 4 * softplus(scores).sum()
        losses.append(softplus(-scores[columns]).sum() + everything + ridge[row] @ codes[row].square())
    (slope,) = torch.autograd.grad(torch.stack(losses).sum(), codes)
    assert slope.abs().max() < 1e-4 and codes.abs().max() > 0.1
    assert (codes[1] == 0).all()
    monkeypatch.setattr(code_solvers, "BLOCK_SCORES", 1)
    torch.testing.assert_close(solve_logistic_codes(batch, vectors, biases, ridge, steps=300), codes.detach())


def test_fold_in_of_the_ratings_of_a_trained_row_gives_its_vector() -> None:
    network, batch = factorization(Shape(3, 4), l2=0.1, bias_l2=0.05), rated()
    optimizer = torch.optim.Adam([network.user_vectors, network.user_bias], lr=0.05)
    for step in range(1500):
        optimizer.zero_grad()
        network(batch, step).total.backward()
        optimizer.step()
    torch.testing.assert_close(network.encode(batch), network.encode_trained(batch), rtol=1e-2, atol=1e-2)


def test_the_uniform_start_is_between_zero_and_eleven_by_rank() -> None:
    network = factorization(Shape(200, 300), initialisation="uniform", biased=False, rank=4)
    for vectors in (network.user_vectors, network.item_vectors):
        assert vectors.min() >= 0
        assert 2.5 < vectors.max() <= 11 / 4
    assert {name for name, _ in network.named_parameters()} == {"user_vectors", "item_vectors"}


@pytest.mark.parametrize("loss", ["bpr", "logistic"])
def test_plays_alone_rank_the_right_half_of_a_checkerboard(loss: str) -> None:
    batch = checkerboard()
    torch.manual_seed(0)
    settings = {"loss": loss, "rank": 2, "l2": 0.05, "spread": 0.5, "biased": False}
    network = ImplicitFactorization(ImplicitFactorizationSettings.model_validate(settings), Shape(12, 12))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    for step in range(400):
        optimizer.zero_grad()
        loss_ = network(batch, step)
        (loss_.total / loss_.count).backward()
        optimizer.step()
    diagonal = network.score_block(network.encode_trained(batch), 0, 12).detach()
    folded = network.eval().scores(batch)
    for row in range(12):
        for scores in (diagonal, folded):
            assert scores[row, row] > scores[row, (row + 1) % 2 :: 2].max()


def test_the_neural_encoder_is_the_layers_of_its_formula() -> None:
    torch.manual_seed(0)
    settings = NeuralEncoderSettings.model_validate({"embedding": 3, "units": 5})
    network = NeuralEncoder(settings, Shape(3, 4)).eval()
    hidden = network.encode_trained(rows_of([[0], [1], [2]], 4))
    u, v = network.rows.weight[1], network.columns.weight[2]
    units = torch.relu(network.dense.weight @ torch.outer(u, v).flatten() + network.dense.bias)
    expected = network.last.weight[0] @ units + network.last.bias[0]
    assert network.score_pairs(hidden, torch.tensor([1]), torch.tensor([2])).item() == pytest.approx(expected.item())


def test_the_neural_encoder_starts_near_the_inner_product_and_its_biases() -> None:
    torch.manual_seed(0)
    network = NeuralEncoder(NeuralEncoderSettings.model_validate({"embedding": 16, "start": 3.5}), Shape(30, 40)).eval()
    scores = network.score_block(network.encode_trained(rows_of([[0]] * 30, 40)), 0, 40)
    inner = network.rows.weight @ network.columns.weight.T
    assert inner.std() > 0.05
    torch.testing.assert_close(scores, inner + 3.5, rtol=0, atol=0.05)


def test_penalty_of_embeddings_grows_with_the_root_of_their_ratings() -> None:
    torch.manual_seed(0)
    settings = NeuralEncoderSettings.model_validate({"embedding": 3, "units": 4, "l2": 0.2, "bias_l2": 0.0})
    network, batch = NeuralEncoder(settings, Shape(3, 4)), rated()
    network.set_column_counts(torch.tensor([4, 1, 1, 1]))
    loss = network(batch, 0)
    u, v = network.rows.weight.square().sum(1), network.columns.weight.square().sum(1)
    # Two ratings of the first row, three of the last; of the first column two of its four are here.
    expected = 0.2 * (2 / 2**0.5 * u[0] + 3 / 3**0.5 * u[2] + 2 / 4**0.5 * v[0] + v[1] + v[2] + v[3])
    assert (loss.total - loss.parts["squared_error"]).item() == pytest.approx(expected.item(), rel=1e-5)
