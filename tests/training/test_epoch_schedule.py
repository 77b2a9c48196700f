"""Epoch schedules, on in-memory files whose rows have unique numbers."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recsys_spark.core.csr import Csr
from recsys_spark.core.errors import TrainingError
from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.storage.shard_format import Manifest, ShardFile
from recsys_spark.training import epoch_schedule
from recsys_spark.training.epoch_schedule import Epoch, derive_seed
from recsys_spark.training.shard_loader import Counts, Rows, check_counts

FOLDER = Path("in memory")
MakeEpoch = Callable[..., Epoch]

sizes = st.lists(st.integers(1, 9), min_size=1, max_size=9)


@pytest.fixture(autouse=True, scope="module")
def files_in_memory() -> object:
    """Replace shard files by in-memory ones, with consecutive row numbers and lengths of `length_of`."""

    def read(folder: Path, file: ShardFile) -> Rows:
        first = int(file.name)
        numbers = np.arange(first, first + file.rows, dtype=np.int32)
        lengths = length_of(numbers)
        return Rows(numbers, Csr.from_lengths(lengths, np.repeat(numbers, lengths), np.ones(lengths.sum(), np.float32)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epoch_schedule, "read_file", read)
        yield


def length_of(number: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return pseudo-random lengths from 1 to 97."""
    return number.astype(np.int64) * 61 % 97 + 1


def epoch_of(
    rows_of_files: Sequence[int], batch_rows: int, world: int, seed: int | None = 7, similar: bool = False
) -> Epoch:
    firsts = np.cumsum([0, *rows_of_files])
    files = []
    for first, n in zip(firsts, rows_of_files, strict=False):
        non_zeros = int(length_of(np.arange(first, first + n, dtype=np.int32)).sum())
        files.append(ShardFile(str(first), n, non_zeros, 0, 0, "", ""))
    n_rows = int(firsts[-1])
    return Epoch(FOLDER, Manifest(ShardSpec(), n_rows, n_rows, 0, {}, tuple(files)), batch_rows, world, seed, similar)


def read_all(epoch: Epoch, skip: int = 0) -> tuple[list[list[list[int]]], Counts]:
    """Return row numbers by rank and step, and the counts of all ranks."""
    counts = Counts()
    ranks = [[rows.numbers.tolist() for rows in epoch.batches(rank, counts, skip)] for rank in range(epoch.world)]
    return ranks, counts


def by_step(ranks: list[list[list[int]]]) -> list[list[int]]:
    """Return the row numbers of each step over all ranks, sorted."""
    return [sorted(number for part in parts for number in part) for parts in zip(*ranks, strict=True)]


@settings(max_examples=150, deadline=None)
@given(
    files=sizes, batch_rows=st.integers(1, 12), world=st.integers(1, 4), shuffled=st.booleans(), similar=st.booleans()
)
def test_every_row_is_read_exactly_once(
    files: list[int], batch_rows: int, world: int, shuffled: bool, similar: bool
) -> None:
    epoch = epoch_of(files, batch_rows, world, 7 if shuffled else None, similar)
    ranks, counts = read_all(epoch)
    assert sorted(number for step in by_step(ranks) for number in step) == list(range(sum(files)))
    check_counts(counts.as_array(), epoch.manifest, FOLDER)
    assert [sum(map(len, steps)) for steps in ranks] == [epoch.rows_of_rank(rank) for rank in range(world)]


@settings(max_examples=150, deadline=None)
@given(files=sizes, batch_rows=st.integers(1, 12), world=st.integers(1, 4), similar=st.booleans())
def test_all_ranks_make_the_same_number_of_steps_of_at_most_a_batch(
    files: list[int], batch_rows: int, world: int, similar: bool
) -> None:
    epoch = epoch_of(files, batch_rows, world, similar=similar)
    ranks, _ = read_all(epoch)
    assert [len(steps) for steps in ranks] == [epoch.steps] * world
    assert all(0 < len(step) <= batch_rows for step in by_step(ranks))


@settings(max_examples=150, deadline=None)
@given(files=sizes, batch_rows=st.integers(1, 12), similar=st.booleans())
def test_a_step_has_the_same_rows_on_one_two_and_four_ranks(files: list[int], batch_rows: int, similar: bool) -> None:
    epochs = (epoch_of(files, batch_rows, world, similar=similar) for world in (1, 2, 4))
    alone, two, four = (by_step(read_all(epoch)[0]) for epoch in epochs)
    assert alone == two == four


@settings(max_examples=150, deadline=None)
@given(
    files=sizes,
    batch_rows=st.integers(1, 12),
    world=st.integers(1, 4),
    skip=st.integers(0, 60),
    similar=st.booleans(),
)
def test_skipping_gives_the_rest_of_the_epoch_and_counts_all_of_it(
    files: list[int], batch_rows: int, world: int, skip: int, similar: bool
) -> None:
    epoch = epoch_of(files, batch_rows, world, similar=similar)
    skip = min(skip, epoch.steps)
    whole, _ = read_all(epoch)
    rest, counts = read_all(epoch, skip)
    assert rest == [steps[skip:] for steps in whole]
    check_counts(counts.as_array(), epoch.manifest, FOLDER)


def test_ranks_without_rows_get_empty_batches() -> None:
    ranks, _ = read_all(epoch_of([5], 4, 4, None))
    assert ranks == [[[0], [1]], [[2], []], [[3], []], [[4], []]]
    ranks, _ = read_all(epoch_of([1, 1], 2, 4, None))
    assert ranks == [[[0]], [[1]], [[]], [[]]]


def test_a_batch_larger_than_the_data_is_one_step() -> None:
    ranks, _ = read_all(epoch_of([3, 2, 4], 1000, 2, None))
    assert by_step(ranks) == [list(range(9))]


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_one_row_is_one_step_of_one_rank(world: int) -> None:
    ranks, _ = read_all(epoch_of([1], 10, world))
    assert by_step(ranks) == [[0]]
    assert epoch_of([1], 10, world).rows_of_rank(0) == 1


@pytest.mark.parametrize("similar", [False, True])
@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("files", [[1000], [400, 350, 250], [7, 493, 1, 299, 200]])
@pytest.mark.parametrize(("batch_rows", "last"), [(256, 232), (6, 4), (1000, 1000), (1001, 1000)])
def test_every_batch_but_the_last_is_full(
    files: list[int], batch_rows: int, last: int, world: int, similar: bool
) -> None:
    epoch = epoch_of(files, batch_rows, world, similar=similar)
    sizes = [len(step) for step in by_step(read_all(epoch)[0])]
    assert sizes == [batch_rows] * (999 // batch_rows) + [last]


@pytest.mark.parametrize("files", [[1000], [1, 999], [334, 333, 333], [100] * 10])
def test_ranks_read_equal_shares_of_any_number_of_files(files: list[int]) -> None:
    for world, most in ((2, 500), (3, 334), (4, 250), (7, 143)):
        epoch = epoch_of(files, 10, world)
        assert max(epoch.rows_of_rank(rank) for rank in range(world)) == most
        assert sum(epoch.rows_of_rank(rank) for rank in range(world)) == 1000


def test_rows_that_a_file_holds_beyond_its_stated_number_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    read: Callable[..., Rows] = vars(epoch_schedule)["read_file"]
    monkeypatch.setattr(epoch_schedule, "read_file", lambda folder, file: Rows.concat([read(folder, file)] * 2))
    epoch = epoch_of([5, 6], 4, 2)
    with pytest.raises(TrainingError, match=r"holds 11 rows, .* the loader read 22,"):
        check_counts(read_all(epoch)[1].as_array(), epoch.manifest, FOLDER)


def test_shuffled_epochs_differ_and_equal_seeds_repeat() -> None:
    files = [7, 6, 5, 8, 7, 6]
    orders = [
        read_all(epoch_of(files, 6, 2, seed))[0] for seed in (derive_seed(1, "epoch", 0), derive_seed(1, "epoch", 1))
    ]
    assert orders[0] == read_all(epoch_of(files, 6, 2, derive_seed(1, "epoch", 0)))[0]
    assert orders[0] != orders[1]
    # Rows move between steps, streams and places in a file.
    assert by_step(orders[0]) != by_step(orders[1])
    assert orders[0] != read_all(epoch_of(files, 6, 2, None))[0]


def test_rows_of_a_file_are_shuffled_among_themselves() -> None:
    (steps,), _ = read_all(epoch_of([40], 40, 1, 7))
    order = [number for step in steps for number in step]
    assert order != sorted(order) == list(range(40))


@pytest.mark.parametrize("world", [1, 2])
def test_steps_of_similar_lengths_need_little_padding_and_stay_unsorted(world: int) -> None:
    def longest_and_mean(similar: bool) -> tuple[list[int], float]:
        steps = by_step(read_all(epoch_of([150] * 6, 12, world, similar=similar))[0])
        lengths = [length_of(np.array(step)) for step in steps]
        assert sum(len(step) for step in steps) == 900
        return [int(step.max()) for step in lengths], float(np.mean([step.mean() for step in lengths]))

    (grouped, mean), (mixed, _) = longest_and_mean(True), longest_and_mean(False)
    assert np.mean(grouped) < 1.3 * mean < 0.8 * np.mean(mixed)
    assert grouped not in (sorted(grouped), sorted(grouped, reverse=True))
    assert abs(np.corrcoef(grouped, np.arange(len(grouped)))[0, 1]) < 0.5


def test_the_stored_order_is_kept_without_a_seed() -> None:
    ranks, _ = read_all(epoch_of([3, 3], 6, 1, None))
    assert [number for step in ranks[0] for number in step] == list(range(6))


def test_seeds_depend_on_every_part_of_their_purpose() -> None:
    assert derive_seed(1, "epoch", 2) == derive_seed(1, "epoch", 2)
    assert (
        len(
            {
                derive_seed(1, "epoch", 2),
                derive_seed(1, "epoch", 3),
                derive_seed(2, "epoch", 2),
                derive_seed(1, "weights", 2),
                derive_seed(12, "epoch"),
            }
        )
        == 5
    )
    assert all(0 <= derive_seed(part) < 2**32 for part in range(100))
