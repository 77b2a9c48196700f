"""Validation metric against sorted scores, hand-worked cases, and the metrics room."""

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
from recsys_spark.networks.network import Loss, Network, Shape
from recsys_spark.networks.settings.network import NetworkSettings
from recsys_spark.training import validation
from recsys_spark.training.ranks import Ranks
from recsys_spark.training.validation import TrainingStatistics, rating_predictions, top_columns, validate
from tests.training.shard_folders import Entries, write_folder

ALONE = Ranks(0, 1, torch.device("cpu"))


class Fixed(Network):
    """Network that gives row number r the scores of row r of a table."""

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
    """Build scores, own entries of rows (none, some, all), and a mask of rankable columns."""
    generator = np.random.default_rng(seed)
    scores = generator.permutation(n_rows * n_columns).reshape(n_rows, n_columns).astype(np.float32)
    own = generator.random((n_rows, n_columns)) < 0.3
    own[0], own[1] = False, True
    rows, columns = own.nonzero()
    indptr = np.searchsorted(rows, np.arange(n_rows + 1))
    batch = Batch.from_arrays(np.arange(n_rows), indptr, columns, np.ones(len(columns)), n_columns)
    return scores, batch, torch.from_numpy(generator.random(n_columns) < 0.8)


def brute_force(scores: NDArray[np.float32], batch: Batch, rankable: Tensor, k: int) -> list[list[int]]:
    allowed = (batch.dense().numpy() == 0) & rankable.numpy()
    return [
        sorted(np.flatnonzero(allowed[row]).tolist(), key=lambda column: -scores[row, column])[:k]
        for row in range(len(scores))
    ]


def held_csr(held: Entries) -> Csr:
    lengths = np.array([len(entries) for entries in held.values()], dtype=np.int64)
    pairs = [pair for entries in held.values() for pair in entries.items()]
    columns, values = (np.array([pair[side] for pair in pairs]) for side in (0, 1))
    return Csr.from_lengths(lengths, columns.astype(np.int32), values.astype(np.float32))


class SeenOrUnseen(Fixed):
    """Network that gives training rows the scores of a table, unseen rows the negative ones."""

    def encode(self, batch: Batch) -> Tensor:
        return (-self.table[batch.rows] - self.bias) / 2

    def encode_trained(self, batch: Batch) -> Tensor:
        return super().encode(batch)


def test_rows_not_seen_in_training_are_evaluated_by_their_histories_alone() -> None:
    scores, batch, _ = a_case(0)
    network, rankable = SeenOrUnseen(scores), torch.ones(11, dtype=torch.bool)
    trained = torch.arange(7) % 2 == 0
    found = top_columns(network, batch, rankable, 11, trained)
    as_seen, as_unseen = (top_columns(Fixed(table), batch, rankable, 11) for table in (scores, -scores))
    assert torch.equal(found, torch.where(trained[:, None], as_seen, as_unseen))
    assert torch.equal(top_columns(network, batch, rankable, 11), as_seen)
    held = Csr.from_lengths(np.ones(7, dtype=np.int64), np.full(7, 3, dtype=np.int32), np.ones(7, dtype=np.float32))
    statistics = TrainingStatistics(torch.ones(11, dtype=torch.int64), -1e6, 1e6, trained)
    sign, filled = np.where(trained.numpy(), 1, -1), batch.lengths().numpy() > 0
    expected = np.where(filled, scores[:, 3] * sign, 0)
    with torch.no_grad():
        predicted = rating_predictions(network, batch, held, statistics)
    np.testing.assert_allclose(predicted, expected, rtol=1e-5)


@pytest.mark.parametrize("k", [1, 3, 11, 40])
@pytest.mark.parametrize("block", [1 << 24, 21, 1])
def test_top_columns_equal_sorting_all_scores(k: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Own entries and columns outside the mask are excluded; a list with too few columns ends in -1."""
    monkeypatch.setattr(validation, "BLOCK_SCORES", block)
    for seed in range(5):
        scores, batch, rankable = a_case(seed)
        columns = top_columns(Fixed(scores), batch, rankable, k).tolist()
        expected = brute_force(scores, batch, rankable, k)
        assert columns == [row + [-1] * (min(k, 11) - len(row)) for row in expected]


def test_top_columns_of_a_batch_without_rows() -> None:
    scores, _, rankable = a_case(0)
    nothing = Batch.from_arrays(np.arange(0), np.arange(1), np.arange(0), np.arange(0.0), 11)
    assert top_columns(Fixed(scores), nothing, rankable, 3).shape == (1, 3)


def test_scores_are_held_in_blocks_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "BLOCK_SCORES", 40)
    sizes: list[int] = []
    whole = torch.addmm

    def watched(*args: Tensor) -> Tensor:
        sizes.append(args[0].numel() * len(args[1]))
        return whole(*args)

    monkeypatch.setattr(torch, "addmm", watched)
    scores, batch, rankable = a_case(1, n_rows=8, n_columns=50)
    top_columns(Fixed(scores), batch, rankable, 2)
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
def test_the_metric_equals_hand_worked_values(
    metric: str, expected: float, batch_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "VALIDATION_ROWS", batch_rows)
    manifest = write_folder(tmp_path / "shards", HAND_ROWS, (4, 5), HAND_HELD)
    statistics = TrainingStatistics(torch.ones(5, dtype=torch.int64), 1, 1)
    actual = validate(Fixed(HAND_SCORES, metric), tmp_path / "shards", manifest, statistics, ALONE)
    assert actual == pytest.approx(expected, rel=1e-12)


def test_held_out_columns_without_training_data_are_not_hits(tmp_path: Path) -> None:
    """All other columns are hits, because the lists are longer than the remaining columns.

    The fill value -1 must not count as the last column of the previous row.
    """
    rows, held = ({row: entries for row in (0, 1)} for entries in ({0: 1.0}, {2: 1.0, 3: 1.0}))
    manifest = write_folder(tmp_path / "shards", rows, (2, 4), held, n_files=1)
    statistics = TrainingStatistics(torch.tensor([1, 1, 1, 0]), 1, 1)
    network = Fixed(np.array([[0.0, 1, 2, 3]] * 2), "recall@100")
    assert validate(network, tmp_path / "shards", manifest, statistics, ALONE) == 0.5


def test_the_metric_equals_the_evaluation_of_all_scores(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    scores, batch, rankable = a_case(2, n_rows=20, n_columns=30)
    own = batch.dense().numpy() > 0
    held = (generator.random(own.shape) < 0.2) & ~own
    rows = {row: dict.fromkeys(np.flatnonzero(own[row]).tolist(), 1.0) for row in range(20)}
    held_rows = {row: dict.fromkeys(np.flatnonzero(held[row]).tolist(), 1.0) for row in range(20)}
    manifest = write_folder(tmp_path / "shards", rows, (20, 30), held_rows)
    statistics = TrainingStatistics(rankable.long(), 1, 1)

    masked = np.where(own | ~rankable.numpy(), -np.inf, scores)
    order = np.argsort(-masked, axis=1)[:, :10]
    hits = np.take_along_axis(held & np.isfinite(masked), order, axis=1)
    expected = np.nanmean(metrics.ndcg(hits, held.sum(axis=1), 10))
    actual = validate(Fixed(scores, "ndcg@10"), tmp_path / "shards", manifest, statistics, ALONE)
    assert actual == pytest.approx(expected, rel=1e-9)


def test_without_held_out_entries_the_metric_is_nan(tmp_path: Path) -> None:
    manifest = write_folder(tmp_path / "shards", {0: {0: 1.0}}, (1, 5), {0: {}})
    statistics = TrainingStatistics(torch.ones(5, dtype=torch.int64), 1, 1)
    assert np.isnan(validate(Fixed(HAND_SCORES[:1]), tmp_path / "shards", manifest, statistics, ALONE))


RATED = np.array([[0.0, 2.5, 9, 3], [4, 4, 4, 4], [2, 2, 2, 2]], dtype=np.float32)
RATED_ROWS: Entries = {0: {3: 2.0}, 1: {}, 2: {0: 5.0}}
RATED_HELD: Entries = {0: {0: 1.0, 1: 2.0, 2: 5.0}, 1: {0: 1.0}, 2: {1: 3.0, 3: 4.0}}
# Column 3 was never rated in training.
RATED_STATISTICS = TrainingStatistics(torch.tensor([1, 1, 1, 0]), 1.0, 4.0)


@pytest.mark.parametrize("block", [1 << 24, 1])
def test_predictions_are_clipped_and_the_midpoint_without_training_data(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "BLOCK_SCORES", block)
    batch = Batch.from_arrays(np.arange(3), np.array([0, 1, 1, 2]), np.array([3, 0]), np.array([2.0, 5.0]), 4)
    with torch.no_grad():
        predicted = rating_predictions(Fixed(RATED), batch, held_csr(RATED_HELD), RATED_STATISTICS)
    # Below the range, within it, above it; a row without entries; within it, a column without entries.
    assert predicted == pytest.approx([1, 2.5, 4, 2.5, 2, 2.5], abs=1e-6)


def test_rmse_is_computed_over_all_held_out_ratings(tmp_path: Path) -> None:
    manifest = write_folder(tmp_path / "shards", RATED_ROWS, (3, 4), RATED_HELD)
    errors = [1 - 1, 2.5 - 2, 4 - 5, 2.5 - 1, 2 - 3, 2.5 - 4]
    actual = validate(Fixed(RATED, "rmse"), tmp_path / "shards", manifest, RATED_STATISTICS, ALONE)
    assert actual == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-6)
