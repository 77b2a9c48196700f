"""Tests of passes and checkpoints, with tasks that run in this process."""

import errno
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from recsys_spark.core.errors import MissingInputError, TrainingError
from recsys_spark.models.block_als.csr_blocks import Side, balanced_bounds, write_block
from recsys_spark.models.block_als.factor_files import read_factors
from recsys_spark.models.block_als.objective import Objective
from recsys_spark.models.block_als.training import Passes, run_passes

OBJECTIVES = {
    "mllib": Objective(0.1, 2.0, implicit=True),
    "revisited": Objective(0.01, 1.0, True, unobserved_weight=0.1, reg_all_pairs=True),
    "explicit": Objective(0.1, 2.0, implicit=False),
}
MLLIB = OBJECTIVES["mllib"]


def plays(n_users=60, n_items=40, seed=1):
    matrix = sparse.random(n_users, n_items, 0.2, format="csr", dtype=np.float32, random_state=seed)
    matrix.data += 1
    return matrix


def side_of(matrix, name, folder, n_blocks):
    """Write the blocks of the rows of a matrix."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    counts, entries = np.diff(matrix.indptr), matrix.tocoo()
    bounds = balanced_bounds(counts, 1, matrix.shape[0], n_blocks)
    for block in range(len(bounds) - 1):
        first, last = bounds[block : block + 2]
        inside = (entries.row >= first) & (entries.row < last)
        rows, columns, values = entries.row[inside] - first, entries.col[inside], entries.data[inside]
        write_block(folder / name, block, rows, columns, values, last - first)
    return Side(name, str(folder / name), bounds, int((counts > 0).sum()), matrix.nnz)


def sides_of(matrix, folder, n_blocks=3):
    return side_of(matrix, "users", folder, n_blocks), side_of(matrix.T.tocsr(), "items", folder, n_blocks)


def run_here(task, n_blocks):
    return [task(block) for block in reversed(range(n_blocks))]


def train(matrix, folder, passes, run=run_here, n_blocks=3):
    """Return users and items in the original basis, and the checkpoint."""
    users, items = sides_of(matrix, folder, n_blocks)
    done = run_passes(users, items, folder, passes, run)
    return vectors(done.users, users), vectors(done.items, items), done


def vectors(factors, side):
    blocks = [read_factors(factors.folder, b, np.diff(side.rows(b))[0]) for b in range(side.n_blocks)]
    return np.concatenate(blocks) @ factors.basis.T


def passes_of(objective=MLLIB, **changes):
    settings = {"rank": 5, "max_iter": 4, "steps": 3, "seed": 7, "scale": 1.0, **changes}
    return Passes(objective, **settings)


def objective_of(matrix, users, items, objective):
    scores, values, total = users @ items.T, matrix.toarray(), 0.0
    for side, own, others in ((matrix, users, items), (matrix.T.tocsr(), items, users)):
        counts = np.diff(side.indptr)
        m = len(np.flatnonzero(others.any(axis=1))) * objective.unobserved_weight if objective.reg_all_pairs else 0
        total += (objective.reg_param * (counts + m) ** objective.reg_exponent * (own**2).sum(axis=1)).sum()
    if not objective.implicit:
        return total + ((values - scores)[values > 0] ** 2).sum()
    weights = objective.unobserved_weight + objective.alpha * values
    return total + (weights * ((values > 0) - scores) ** 2).sum()


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())
def test_reported_objective_is_that_of_the_vectors_and_falls(tmp_path, objective):
    matrix = plays()
    users, items, done = train(matrix, tmp_path, passes_of(objective))
    np.testing.assert_allclose(done.objectives[-1], objective_of(matrix, users, items, objective), rtol=1e-4)
    assert len(done.objectives) == 8
    assert (np.diff(done.objectives) < 1e-4 * done.objectives[0]).all()


def test_start_and_result_do_not_depend_on_the_blocks(tmp_path):
    one = train(plays(), tmp_path / "one", passes_of(), n_blocks=1)
    many = train(plays(), tmp_path / "many", passes_of(), n_blocks=7)
    for single, several in zip(one[:2], many[:2], strict=True):
        np.testing.assert_allclose(single, several, atol=2e-3)


def test_repeated_tasks_give_the_same_bytes(tmp_path):
    """Each block is computed twice in every pass, as after a failed task."""

    def run_twice(task, n_blocks):
        for block in range(n_blocks):
            task(block)
        return run_here(task, n_blocks)

    expected = train(plays(), tmp_path / "a", passes_of())
    repeated = train(plays(), tmp_path / "b", passes_of(), run_twice)
    for first, second in zip(expected[:2], repeated[:2], strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())
def test_a_growing_rank_reaches_the_objective_of_the_full_rank(tmp_path, objective):
    matrix = plays()
    changes = {"rank": 8, "max_iter": 12, "scale": 0.3}
    *_, full = train(matrix, tmp_path / "full", passes_of(objective, **changes))
    users, items, grown = train(matrix, tmp_path / "grown", passes_of(objective, first_rank=2, **changes))
    assert users.shape[1] == items.shape[1] == 8
    np.testing.assert_allclose(grown.objectives[-1], objective_of(matrix, users, items, objective), rtol=1e-4)
    assert grown.objectives[-1] < 1.02 * full.objectives[-1]


@pytest.mark.parametrize("survived", [2, 3, 4, 5])
def test_a_run_killed_while_its_rank_grows_ends_with_the_same_bytes(tmp_path, survived):
    passes, calls = passes_of(rank=8, first_rank=2), []
    expected = train(plays(), tmp_path / "a", passes)

    def dying(task, n_blocks):
        calls.append(task)
        if len(calls) > survived:
            task(1)
            raise Killed
        return run_here(task, n_blocks)

    with pytest.raises(Killed):
        train(plays(), tmp_path / "b", passes, dying)
    again = train(plays(), tmp_path / "b", passes)
    assert again[2].objectives == expected[2].objectives
    for first, second in zip(expected[:2], again[:2], strict=True):
        np.testing.assert_array_equal(first, second)


def test_early_stop_waits_for_the_full_rank(tmp_path):
    *_, done = train(plays(), tmp_path, passes_of(rank=8, first_rank=1, max_iter=50, tolerance=0.5))
    assert len(done.users.basis) == len(done.items.basis) == 8
    assert done.number == 8


class Killed(Exception):
    pass


@pytest.mark.parametrize("survived", [0, 1, 2, 4, 7])
def test_a_killed_run_goes_on_after_its_last_complete_pass(tmp_path, survived):
    expected = train(plays(), tmp_path / "a", passes_of())
    calls = []

    def dying(task, n_blocks):
        calls.append(task)
        if len(calls) > survived:
            task(1)
            (next((tmp_path / "b").glob("pass-*")) / ".00000.npy.half.tmp").write_bytes(b"half")
            raise Killed
        return run_here(task, n_blocks)

    with pytest.raises(Killed):
        train(plays(), tmp_path / "b", passes_of(), dying)
    resumed = []

    def counting(task, n_blocks):
        resumed.append(task)
        return run_here(task, n_blocks)

    again = train(plays(), tmp_path / "b", passes_of(), counting)
    assert len(resumed) == 9 - survived
    assert again[2].objectives == expected[2].objectives
    for first, second in zip(expected[:2], again[:2], strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_half_written_factor_file_is_refused_with_its_path(tmp_path):
    *_, done = train(plays(), tmp_path, passes_of())
    file = next(path for path in sorted((tmp_path / done.items.folder).glob("0*.npy")))
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(MissingInputError, match=file.name):
        train(plays(), tmp_path, passes_of(max_iter=5))


def test_a_checkpoint_with_a_lost_file_starts_again(tmp_path):
    expected = train(plays(), tmp_path, passes_of())
    next(path for path in (tmp_path / expected[2].items.folder).glob("0*.npy")).unlink()
    again = train(plays(), tmp_path, passes_of())
    np.testing.assert_array_equal(again[0], expected[0])


def test_only_the_newest_factors_are_kept(tmp_path):
    *_, done = train(plays(), tmp_path, passes_of())
    kept = {path.name for path in tmp_path.glob("pass-*")}
    state = json.loads((tmp_path / "checkpoint.json").read_text())
    assert kept == {state["users"]["folder"], state["items"]["folder"]}
    assert state["number"] == done.number == 8


def test_stops_when_a_pass_changes_little(tmp_path):
    *_, done = train(plays(), tmp_path, passes_of(max_iter=50, tolerance=1e-2))
    earlier, before, after = done.objectives[-3:]
    assert done.number < 100
    assert (before - after) / before < 1e-2
    assert (earlier - before) / earlier >= 1e-2


def test_rank_above_the_number_of_items(tmp_path):
    matrix = plays(20, 6)
    users, items, done = train(matrix, tmp_path, passes_of(rank=24))
    np.testing.assert_allclose(done.objectives[-1], objective_of(matrix, users, items, MLLIB), rtol=1e-4)


def test_an_item_of_everyone_and_a_user_with_most_of_the_plays(tmp_path):
    matrix = plays(40, 300).tolil()
    matrix[:, 3] = 2.0
    matrix[5, :] = 7.0
    matrix = matrix.tocsr()
    users, items, done = train(matrix, tmp_path, passes_of())
    np.testing.assert_allclose(done.objectives[-1], objective_of(matrix, users, items, MLLIB), rtol=1e-4)


def test_huge_confidences_train_or_name_the_remedy(tmp_path):
    matrix = plays()
    matrix.data[::5] = 1e9
    users, items, _ = train(matrix, tmp_path / "large", passes_of())
    assert np.isfinite(users).all()
    assert np.isfinite(items).all()
    matrix.data[::5] = 3e38
    with pytest.raises(TrainingError, match=r"models\.als\.alpha"):
        train(matrix, tmp_path / "infinite", passes_of(Objective(0.1, 1e6, implicit=True)))


def test_blocks_are_balanced_by_entries():
    counts = np.array([1000, *[1] * 999])
    bounds = balanced_bounds(counts, 1, 1000, 4)
    assert bounds[:2] == (0, 1)
    assert bounds[-1] == 1000
    work = [counts[a:b].sum() + b - a for a, b in pairwise(bounds)]
    assert max(work[1:]) <= 1.5 * min(work[1:])


@pytest.mark.parametrize("counts", [[5], [0, 0, 5, 0], [1, 1, 1], [0, 9, 0, 1]])
def test_every_block_has_an_entry(counts):
    bounds = balanced_bounds(np.array(counts), 2, 2 * len(counts) - 1, 8)
    per_row = np.repeat(np.array(counts), 2)
    assert bounds[0] == 0
    assert bounds[-1] == 2 * len(counts) - 1
    assert all(per_row[a:b].sum() > 0 for a, b in pairwise(bounds))


def test_a_file_system_without_writes_within_files_gives_the_same_vectors(tmp_path, monkeypatch):
    expected = train(plays(), tmp_path / "a", passes_of())
    whole_open = Path.open

    def refuse(path, mode="r", *args, **kwargs):
        if mode in ("ab", "r+b"):
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return whole_open(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    found = train(plays(), tmp_path / "b", passes_of())
    assert not list((tmp_path / "b").glob("*/others*"))
    for first, second in zip(expected[:2], found[:2], strict=True):
        np.testing.assert_array_equal(first, second)
