"""Contract tests of all networks: properties that training, recommendation and evaluation rely on."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from recsys_spark.core.names import NETWORKS
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Network, Shape, load_network
from recsys_spark.training.optimizers import make_optimizer
from recsys_spark.training.spec import TrainSpec
from recsys_spark.training.validation import TrainingStatistics
from recsys_spark.training.weights import load_network_weights, save_network
from tests.networks.batches import TINY, checkerboard, make_network, rows_of

kinds = pytest.mark.parametrize("kind", NETWORKS)

DECLARED = {
    "song_autoencoder": ("users", "one", "column", "ndcg@100", "forward"),
    "autorec_item": ("items", "rating", "column", "rmse", "none"),
    "autorec_user": ("users", "rating", "column", "rmse", "forward"),
    "deeprec": ("users", "rating", "column", "rmse", "forward"),
    "cdae": ("users", "one", "column", "ndcg@100", "forward"),
    "mult_vae": ("users", "one", "column", "ndcg@100", "forward"),
    "matrix_factorization": ("users", "rating", "column", "rmse", "forward"),
    "implicit_factorization": ("users", "one", "column", "ndcg@100", "forward"),
    "neural_encoder": ("users", "rating", "column", "rmse", "none"),
    "svae": ("users", "one", "time", "ndcg@100", "forward"),
}


def trained(network: Network, batch: Batch, steps: int = 2) -> Network:
    """Train a network for a few steps."""
    network.set_column_counts(torch.bincount(batch.indices, minlength=batch.n_columns))
    optimizer = make_optimizer(network, steps)
    for step in range(steps):
        torch.manual_seed(step)
        loss = network(batch, step)
        optimizer.zero_grad()
        (loss.total / loss.count).backward()
        optimizer.step()
    return network


@pytest.mark.parametrize("listed", [TINY, DECLARED])
def test_every_kind_of_the_registry_is_tested(listed: dict[str, object]) -> None:
    assert set(listed) == set(NETWORKS)


@kinds
def test_declares_its_shards_its_metric_and_its_fold_in(kind: str) -> None:
    network = load_network(kind)
    shard_spec = network.shard_spec
    assert (shard_spec.rows, shard_spec.values, shard_spec.order, network.metric, network.fold_in) == DECLARED[kind]


@kinds
@pytest.mark.parametrize(
    "histories",
    [[[]], [[], [3, 1], []], [[2]], [list(range(5))], [[4], [0, 1, 2, 3, 4], []]],
    ids=["empty", "empty among others", "one entry", "every column", "mixed"],
)
def test_any_history_has_a_finite_loss_and_finite_codes(kind: str, histories: Sequence[Sequence[int]]) -> None:
    batch = rows_of(histories, 5)
    network = make_network(kind, Shape(len(histories), 5))
    loss = network(batch, 0)
    assert all(value.isfinite() for value in (loss.total, loss.count, *loss.parts.values()))
    codes = network.eval().encode(batch)
    assert len(codes) == len(histories)
    assert codes.isfinite().all()


@kinds
@pytest.mark.parametrize(("n_rows", "n_columns"), [(1, 5), (5, 1), (1, 1)])
def test_matrices_of_one_row_or_one_column_are_trained_on(kind: str, n_rows: int, n_columns: int) -> None:
    batch = rows_of([list(range(n_columns))] * n_rows, n_columns)
    network = make_network(kind, Shape(n_rows, n_columns))
    loss = network(batch, 0)
    loss.total.backward()
    assert loss.total.isfinite()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in network.parameters())
    assert network.eval().scores(batch).shape == (n_rows, n_columns)


@kinds
def test_codes_do_not_need_row_numbers_of_training(kind: str) -> None:
    network = trained(make_network(kind, Shape(12, 12)), checkerboard()).eval()
    histories = [[0, 2, 4], [], [1, 3]]
    unseen, seen = (network.encode(rows_of(histories, 12, first)) for first in (1_000_000, 0))
    assert torch.equal(unseen, seen)


@kinds
def test_scores_of_pairs_and_blocks_equal_all_scores(kind: str) -> None:
    network, batch = make_network(kind, Shape(12, 9)).eval(), rows_of([[0, 2, 4], [], [8]], 9)
    decoded = network.decode(network.encode(batch))
    assert network.output_bias.shape == (9,)
    every = torch.cartesian_prod(torch.arange(3), torch.arange(9)).T
    torch.testing.assert_close(network.score_pairs(decoded, *every).view(3, 9), network.scores(batch))
    torch.testing.assert_close(network.score_block(decoded, 2, 5), network.scores(batch)[:, 2:5])
    if network.scores_are_dot_products:
        assert network.output_weight.shape == (9, decoded.shape[1])
        torch.testing.assert_close(network.scores(batch), decoded @ network.output_weight.T + network.output_bias)
    assert network.encode_trained(batch).shape == network.encode(batch).shape


@kinds
def test_trained_columns_are_those_with_training_entries(kind: str) -> None:
    network = trained(make_network(kind, Shape(3, 5)), rows_of([[0, 1], [1, 3], [0, 3]], 5))
    assert network.trained_columns.tolist() == [True, True, False, True, False]


@kinds
def test_a_batch_without_rows_has_count_zero_and_every_gradient(kind: str) -> None:
    network = make_network(kind, Shape(12, 12))
    loss = network(rows_of([], 12), 0)
    assert loss.total.isfinite()
    assert loss.count == 0
    assert set(loss.parts) == set(network(checkerboard(), 0).parts)
    gradients = torch.autograd.grad(loss.total, list(network.parameters()))
    assert all((gradient == 0).all() for gradient in gradients)


@kinds
def test_equal_seeds_give_equal_weights_after_two_steps(kind: str) -> None:
    first, again, other = (trained(make_network(kind, Shape(12, 12), seed), checkerboard()) for seed in (5, 5, 6))
    weights, same, different = (network.state_dict() for network in (first, again, other))
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    assert not all(torch.equal(weights[name], different[name]) for name in weights)
    untrained = make_network(kind, Shape(12, 12), 5).state_dict()
    assert not all(torch.equal(weights[name], untrained[name]) for name in weights)


@kinds
def test_a_stored_network_gives_the_same_scores(kind: str, tmp_path: Path) -> None:
    network, batch = trained(make_network(kind, Shape(12, 12)), checkerboard()).eval(), checkerboard()
    spec = TrainSpec(kind, TINY[kind], 0, "train", None, str(tmp_path))
    save_network(spec, network, TrainingStatistics(network.column_counts, 0.5, 5.0))
    stored = load_network_weights(tmp_path)
    assert not stored.network.training
    assert torch.equal(stored.network.scores(batch), network.scores(batch))
    assert torch.equal(stored.network.trained_columns, network.trained_columns)
    assert (stored.statistics.lowest, stored.statistics.highest, stored.statistics.midpoint) == (0.5, 5.0, 2.75)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


@pytest.mark.parametrize("kind", ["matrix_factorization", "implicit_factorization"])
def test_a_factorization_without_biases_is_stored_as_well(kind: str, tmp_path: Path) -> None:
    spec = TrainSpec(kind, TINY[kind] | {"biased": False}, 0, "train", None, str(tmp_path))
    network = trained(spec.network(Shape(12, 12)), checkerboard()).eval()
    save_network(spec, network, TrainingStatistics(network.column_counts, 0.5, 5.0))
    stored = load_network_weights(tmp_path).network
    assert stored.output_bias.numpy().tolist() == [0.0] * 12
    assert torch.equal(stored.scores(checkerboard()), network.scores(checkerboard()))


@kinds
def test_codes_of_a_row_do_not_depend_on_the_others(kind: str) -> None:
    network = trained(make_network(kind, Shape(12, 12)), checkerboard()).eval()
    histories = [[0, 2, 4], [], [1], list(range(12))]
    alone = torch.cat([network.encode(rows_of([history], 12)) for history in histories])
    torch.testing.assert_close(network.encode(rows_of(histories, 12)), alone)


@kinds
@pytest.mark.parametrize("histories", [[], [[]], [[0]], [[3], [4, 1]], [[], [0, 1, 2], [5], [2, 6, 1, 0, 4]]])
def test_the_count_of_a_loss_is_the_loss_count_of_its_batch(kind: str, histories: Sequence[Sequence[int]]) -> None:
    """The second network of SVAE cuts histories to three entries."""
    changes = [{}, {"max_length": 3}] if kind == "svae" else [{}]
    for changed in changes:
        network, batch = make_network(kind, Shape(12, 7), **changed), rows_of(histories, 7)
        assert network.loss_count(batch) == network(batch, 0).count


@pytest.mark.parametrize("kind", [kind for kind, declared in DECLARED.items() if declared[3] != "rmse"])
def test_under_autocast_products_are_rounded_and_losses_are_not(kind: str) -> None:
    batch, results = checkerboard(), []
    for rounds in (False, True):
        network = make_network(kind, Shape(12, 12))
        network.set_column_counts(torch.bincount(batch.indices, minlength=12))
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=rounds):
            loss = network(batch, 3)
        loss.total.backward()
        results.append((loss, [weight.grad for weight in network.parameters()]))
    (exact, gradients), (rounded, of_rounded) = results
    for value, other in zip(
        (exact.total, *exact.parts.values()), (rounded.total, *rounded.parts.values()), strict=True
    ):
        assert other.dtype == torch.float32
        torch.testing.assert_close(other, value, rtol=0.02, atol=0.02)
    # A rounded sum would be a bfloat16 number.
    assert rounded.total.bfloat16().float() != rounded.total
    changed = False
    for gradient, other in zip(gradients, of_rounded, strict=True):
        assert gradient is not None and other is not None and other.dtype == torch.float32
        assert (gradient - other).norm() <= 0.05 * gradient.norm() + 1e-3
        changed |= not torch.equal(gradient, other)
    # Its scores are no matrix products.
    assert changed == (kind != "implicit_factorization")


@pytest.mark.parametrize(("kind", "part"), [("mult_vae", "kl"), ("svae", "divergence")])
def test_under_autocast_sums_of_divergences_are_not_rounded(kind: str, part: str) -> None:
    network = make_network(kind, Shape(12, 12))
    with torch.autocast("cpu", torch.bfloat16):
        divergence = network(checkerboard(), 3).parts[part]
    assert divergence.bfloat16().float() != divergence
