"""Batches that are copied ahead: the same ones in the same order."""

from pathlib import Path

import pytest
import torch

from recsys_spark.networks.batch import Batch
from recsys_spark.networks.network import Network, Shape
from recsys_spark.training.epoch_schedule import Epoch
from recsys_spark.training.prefetch import Loaded, load_batches, one_ahead
from recsys_spark.training.shard_loader import Counts, Rows
from recsys_spark.training.validation import host_batch
from tests.networks.batches import make_network
from tests.training.shard_folders import planted_tastes, write_folder

CPU = torch.device("cpu")


def an_epoch(root: Path) -> Epoch:
    tastes = planted_tastes(41, ratings=True)
    return Epoch(root / "shards", write_folder(root / "shards", tastes.rows, tastes.shape), 12, 1, shuffle_seed=5)


def a_network() -> Network:
    return make_network("autorec_user", Shape(41, 24))


def assert_same_batches(loaded: list[Loaded], expected: list[Batch]) -> None:
    assert len(loaded) == len(expected) > 3
    for one, other in zip(loaded, expected, strict=True):
        assert one.count == other.indices.numel()
        assert one.numbers.tolist() == other.rows.tolist()
        tensors = one.batch.tensors()
        assert tensors.keys() == other.tensors().keys()
        assert all(torch.equal(tensor.cpu(), other.tensors()[name]) for name, tensor in tensors.items())


def test_the_next_item_is_started_before_one_is_yielded() -> None:
    events: list[str] = []

    def start(item: int) -> int:
        events.append(f"start {item}")
        return item * 10

    for item in one_ahead(iter(range(3)), start):
        events.append(f"use {item}")
    assert events == ["start 0", "start 1", "use 0", "start 2", "use 10", "use 20"]
    assert list(one_ahead([], start)) == []
    assert list(one_ahead([4], start)) == [40]


def test_batches_on_a_cpu_are_those_of_the_rows(tmp_path: Path) -> None:
    epoch, counts = an_epoch(tmp_path), Counts()
    expected = [host_batch(rows, 24) for rows in epoch.batches(0, Counts())]
    assert_same_batches(list(load_batches(epoch.batches(0, counts), a_network(), CPU)), expected)
    assert counts.rows == 41


def test_a_cpu_reads_no_rows_before_their_step(tmp_path: Path) -> None:
    rows, taken = an_epoch(tmp_path).batches(0, Counts()), 0

    def watched():
        nonlocal taken
        for part in rows:
            taken += 1
            yield part

    batches = load_batches(watched(), a_network(), CPU)
    next(batches)
    assert taken == 1


def test_rows_of_a_rank_without_any_count_nothing() -> None:
    (loaded,) = load_batches([Rows.concat([])], a_network(), CPU)
    assert (loaded.count, len(loaded.batch), loaded.numbers.size) == (0, 1, 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_batches_on_a_gpu_are_those_of_the_rows(tmp_path: Path) -> None:
    epoch, device = an_epoch(tmp_path), torch.device("cuda", 0)
    expected = [host_batch(rows, 24) for rows in epoch.batches(0, Counts())]
    loaded = list(load_batches(epoch.batches(0, Counts()), a_network(), device))
    assert_same_batches(loaded, expected)
    for one, other in zip(loaded, expected, strict=True):
        assert one.batch.rows.device == device
        assert one.batch.host_indptr is not None and torch.equal(one.batch.host_indptr, other.indptr)
