"""The validation metric against sorting every score, cases worked by hand, and the metrics' own code."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recsys_spark.core.csr import Csr
from recsys_spark.metrics import ranking as metrics
from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Loss, Network, NetworkSettings, Shape
from recsys_spark.training import validation
from recsys_spark.training.ranks import Ranks
from recsys_spark.training.validation import Observed, rating_predictions, top_columns, validate
from tests.training.shard_folders import Entries, write_folder

ALONE = Ranks(0, 1, torch.device("cpu"))


class Fixed(Network):
    """Gives row number r the scores of row r of a table, through an output layer of as many columns."""

    def __init__(self, table: NDArray[Any], metric: str = "ndcg@3") -> None:
        super().__init__(NetworkSettings(), Shape(*table.shape))
        self.table = torch.from_numpy(table).float()
        self.weight = nn.Parameter(torch.eye(table.shape[1]) * 2)
        self.bias = nn.Parameter(torch.linspace(-1, 1, table.shape[1]))
        self.metric = metric  # type: ignore[misc]

    def forward(self, batch: Batch, step: int) -> Loss:
        raise NotImplementedError

    def encode(self, batch: Batch) -> Tensor:
        return (self.table[batch.rows] - self.bias) / 2

    @property
    def output_weight(self) -> Tensor:
        return self.weight

    @property
    def output_bias(self) -> Tensor:
        return self.bias


def a_case(seed: int, n_rows: int = 7, n_columns: int = 11) -> tuple[NDArray[np.float32], Batch, Tensor]:
    """Scores, own entries (none, some, all), and which columns are served."""
    generator = np.random.default_rng(seed)
    scores = generator.permutation(n_rows * n_columns).reshape(n_rows, n_columns).astype(np.float32)
    own = generator.random((n_rows, n_columns)) < 0.3
    own[0], own[1] = False, True
    rows, columns = own.nonzero()
    indptr = np.searchsorted(rows, np.arange(n_rows + 1))
    batch = Batch.of(np.arange(n_rows), indptr, columns, np.ones(len(columns)), n_columns)
    return scores, batch, torch.from_numpy(generator.random(n_columns) < 0.8)


def brute_force(scores: NDArray[np.float32], batch: Batch, served: Tensor, k: int) -> list[list[int]]:
    allowed = (batch.dense().numpy() == 0) & served.numpy()
    return [
        sorted(np.flatnonzero(allowed[row]).tolist(), key=lambda column: -scores[row, column])[:k]
        for row in range(len(scores))
    ]


def held_csr(held: Entries) -> Csr:
    lengths = np.array([len(entries) for entries in held.values()], dtype=np.int64)
    pairs = [pair for entries in held.values() for pair in entries.items()]
    columns, values = (np.array([pair[side] for pair in pairs]) for side in (0, 1))
    return Csr.of_lengths(lengths, columns.astype(np.int32), values.astype(np.float32))


class Acquainted(Fixed):
    """Gives rows that it was trained on the scores of the table, and strangers those of the table upside down."""

    def encode(self, batch: Batch) -> Tensor:
        return (-self.table[batch.rows] - self.bias) / 2

    def encode_trained(self, batch: Batch) -> Tensor:
        return super().encode(batch)


def test_rows_that_training_has_not_seen_are_judged_as_strangers() -> None:
    scores, batch, _ = a_case(0)
    network, served = Acquainted(scores), torch.ones(11, dtype=torch.bool)
    trained = torch.arange(7) % 2 == 0
    found = top_columns(network, batch, served, 11, trained)
    as_known, as_strangers = (top_columns(Fixed(table), batch, served, 11) for table in (scores, -scores))
    assert torch.equal(found, torch.where(trained[:, None], as_known, as_strangers))
    assert torch.equal(top_columns(network, batch, served, 11), as_known)
    held = Csr.of_lengths(np.ones(7, dtype=np.int64), np.full(7, 3, dtype=np.int32), np.ones(7, dtype=np.float32))
    observed = Observed(torch.ones(11, dtype=torch.int64), -1e6, 1e6, trained)
    sign, known = np.where(trained.numpy(), 1, -1), batch.lengths().numpy() > 0
    expected = np.where(known, scores[:, 3] * sign, 0)
    with torch.no_grad():
        predicted = rating_predictions(network, batch, held, observed)
    np.testing.assert_allclose(predicted, expected, rtol=1e-5)


@pytest.mark.parametrize("k", [1, 3, 11, 40])
@pytest.mark.parametrize("block", [1 << 24, 21, 1])
def test_top_columns_equal_sorting_all_scores(k: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a row's own entries and columns not served; a list that is short of columns ends in -1."""
    monkeypatch.setattr(validation, "BLOCK_SCORES", block)
    for seed in range(5):
        scores, batch, served = a_case(seed)
        columns = top_columns(Fixed(scores), batch, served, k).tolist()
        expected = brute_force(scores, batch, served, k)
        assert columns == [row + [-1] * (min(k, 11) - len(row)) for row in expected]


def test_top_columns_of_a_batch_without_rows() -> None:
    scores, _, served = a_case(0)
    nothing = Batch.of(np.arange(0), np.arange(1), np.arange(0), np.arange(0.0), 11)
    assert top_columns(Fixed(scores), nothing, served, 3).shape == (1, 3)


def test_scores_are_held_in_blocks_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "BLOCK_SCORES", 40)
    sizes: list[int] = []
    whole = torch.addmm

    def watched(*args: Tensor) -> Tensor:
        sizes.append(args[0].numel() * len(args[1]))
        return whole(*args)

    monkeypatch.setattr(torch, "addmm", watched)
    scores, batch, served = a_case(1, n_rows=8, n_columns=50)
    top_columns(Fixed(scores), batch, served, 2)
    assert sizes == [40] * 10


# Row 0: own column 0, list 4 3 2, held out 3 and 1: 3 is second. Row 1: list 0 1 2, held out 0: first.
# Row 2: nothing held out, does not count. Row 3: no entries, list 4 3 2, held out 1: not found.
HAND_SCORES = np.array([[9, 1, 2, 3, 4], [9, 8, 7, 6, 5], [1, 2, 3, 4, 5], [0, 1, 2, 3, 4]], dtype=np.float32)
HAND_ROWS: Entries = {0: {0: 1.0}, 1: {4: 1.0}, 2: {1: 1.0}, 3: {}}
HAND_HELD: Entries = {0: {3: 1.0, 1: 1.0}, 1: {0: 1.0}, 2: {}, 3: {1: 1.0}}
SECOND = 1 / np.log2(3)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("ndcg@3", (SECOND / (1 + SECOND) + 1 + 0) / 3), ("recall@3", (0.5 + 1 + 0) / 3), ("mrr@1", (0 + 1 + 0) / 3)],
)
@pytest.mark.parametrize("batch_rows", [512, 1])
def test_the_metric_is_that_worked_out_by_hand(
    metric: str, expected: float, batch_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "VALIDATION_ROWS", batch_rows)
    manifest = write_folder(tmp_path / "shards", HAND_ROWS, (4, 5), HAND_HELD)
    observed = Observed(torch.ones(5, dtype=torch.int64), 1, 1)
    actual = validate(Fixed(HAND_SCORES, metric), tmp_path / "shards", manifest, observed, ALONE)
    assert actual == pytest.approx(expected, rel=1e-12)


def test_held_out_columns_that_are_not_served_cannot_be_found(tmp_path: Path) -> None:
    """The lists are longer than the columns that are left, so every other column is found; nor does what fills a list
    up count as the last column of the row before.
    """
    rows, held = ({row: entries for row in (0, 1)} for entries in ({0: 1.0}, {2: 1.0, 3: 1.0}))
    manifest = write_folder(tmp_path / "shards", rows, (2, 4), held, n_files=1)
    observed = Observed(torch.tensor([1, 1, 1, 0]), 1, 1)
    network = Fixed(np.array([[0.0, 1, 2, 3]] * 2), "recall@100")
    assert validate(network, tmp_path / "shards", manifest, observed, ALONE) == 0.5


def test_the_metric_equals_the_evaluation_of_all_scores(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    scores, batch, served = a_case(2, n_rows=20, n_columns=30)
    own = batch.dense().numpy() > 0
    held = (generator.random(own.shape) < 0.2) & ~own
    rows = {row: dict.fromkeys(np.flatnonzero(own[row]).tolist(), 1.0) for row in range(20)}
    held_rows = {row: dict.fromkeys(np.flatnonzero(held[row]).tolist(), 1.0) for row in range(20)}
    manifest = write_folder(tmp_path / "shards", rows, (20, 30), held_rows)
    observed = Observed(served.long(), 1, 1)

    masked = np.where(own | ~served.numpy(), -np.inf, scores)
    order = np.argsort(-masked, axis=1)[:, :10]
    hits = np.take_along_axis(held & np.isfinite(masked), order, axis=1)
    expected = np.nanmean(metrics.ndcg(hits, held.sum(axis=1), 10))
    actual = validate(Fixed(scores, "ndcg@10"), tmp_path / "shards", manifest, observed, ALONE)
    assert actual == pytest.approx(expected, rel=1e-9)


def test_without_anything_held_out_the_metric_is_not_a_number(tmp_path: Path) -> None:
    manifest = write_folder(tmp_path / "shards", {0: {0: 1.0}}, (1, 5), {0: {}})
    observed = Observed(torch.ones(5, dtype=torch.int64), 1, 1)
    assert np.isnan(validate(Fixed(HAND_SCORES[:1]), tmp_path / "shards", manifest, observed, ALONE))


RATED = np.array([[0.0, 2.5, 9, 3], [4, 4, 4, 4], [2, 2, 2, 2]], dtype=np.float32)
RATED_ROWS: Entries = {0: {3: 2.0}, 1: {}, 2: {0: 5.0}}
RATED_HELD: Entries = {0: {0: 1.0, 1: 2.0, 2: 5.0}, 1: {0: 1.0}, 2: {1: 3.0, 3: 4.0}}
# Column 3 was never rated in training.
RATED_OBSERVED = Observed(torch.tensor([1, 1, 1, 0]), 1.0, 4.0)


@pytest.mark.parametrize("block", [1 << 24, 1])
def test_predictions_are_clipped_and_the_middle_where_nothing_is_known(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "BLOCK_SCORES", block)
    batch = Batch.of(np.arange(3), np.array([0, 1, 1, 2]), np.array([3, 0]), np.array([2.0, 5.0]), 4)
    with torch.no_grad():
        predicted = rating_predictions(Fixed(RATED), batch, held_csr(RATED_HELD), RATED_OBSERVED)
    # Below the range, within it, above it; a row without entries; within it, a column without entries.
    assert predicted == pytest.approx([1, 2.5, 4, 2.5, 2, 2.5], abs=1e-6)


def test_rmse_is_that_of_all_held_out_ratings_together(tmp_path: Path) -> None:
    manifest = write_folder(tmp_path / "shards", RATED_ROWS, (3, 4), RATED_HELD)
    errors = [1 - 1, 2.5 - 2, 4 - 5, 2.5 - 1, 2 - 3, 2.5 - 4]
    actual = validate(Fixed(RATED, "rmse"), tmp_path / "shards", manifest, RATED_OBSERVED, ALONE)
    assert actual == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-6)
