"""Tests of the conjugate gradient against exact solves of dense systems."""

import numpy as np
import pytest
from scipy import sparse

from recsys_spark.models.block_als.kernel import solve_rows
from recsys_spark.models.block_als.objective import Objective

MLLIB = Objective(0.1, 2.0, implicit=True)
OBJECTIVES = {
    "mllib": MLLIB,
    "plain": Objective(0.5, 2.0, True, reg_exponent=0.0),
    "root": Objective(0.1, 2.0, True, reg_exponent=0.5),
    "revisited": Objective(0.01, 1.0, True, unobserved_weight=0.1, reg_all_pairs=True),
    "explicit": Objective(0.1, 2.0, implicit=False),
    "explicit_plain": Objective(0.1, 2.0, implicit=False, reg_exponent=0.0),
}


@pytest.fixture(params=list(OBJECTIVES.values()), ids=list(OBJECTIVES))
def objective(request):
    return request.param


def random_csr(n_rows=30, n_columns=20, seed=1):
    matrix = sparse.random(n_rows, n_columns, 0.3, format="csr", dtype=np.float32, random_state=seed)
    matrix.data += 1
    matrix.indptr = matrix.indptr.astype(np.int64)
    return matrix


def dense_rows(matrix, others, objective):
    """Return the exact rows by one dense system each."""
    solved = np.zeros((matrix.shape[0], others.shape[1]))
    for row in range(matrix.shape[0]):
        items, values = matrix[row].indices, matrix[row].data.astype(float)
        if items.size == 0:
            continue
        y = others[items]
        m = len(others) * objective.unobserved_weight if objective.reg_all_pairs else 0
        ridge = objective.reg_param * (items.size + m) ** objective.reg_exponent
        system = ridge * np.eye(others.shape[1])
        if objective.implicit:
            system += objective.unobserved_weight * others.T @ others + y.T * (objective.alpha * values) @ y
            right = y.T @ (objective.unobserved_weight + objective.alpha * values)
        else:
            system += y.T @ y
            right = y.T @ values
        solved[row] = np.linalg.solve(system, right)
    return solved


def dense_objective(matrix, users, items, objective):
    """Return the objective by a loop over all pairs."""
    total = 0.0
    for side, factors, others in ((matrix, users, items), (matrix.T.tocsr(), items, users)):
        counts = np.diff(side.indptr)
        m = len(others) * objective.unobserved_weight if objective.reg_all_pairs else 0
        scale = objective.reg_param * (counts + m) ** objective.reg_exponent
        total += (scale * (factors**2).sum(axis=1))[counts > 0].sum()
    values, scores = matrix.toarray(), users @ items.T
    for pair in np.ndindex(*values.shape):
        value, score = values[pair], scores[pair]
        if not objective.implicit:
            total += (value - score) ** 2 if value else 0
        else:
            weight = objective.unobserved_weight + objective.alpha * value
            total += weight * (float(value > 0) - score) ** 2
    return total


def solve(matrix, others, objective, steps, start=None):
    """Return the rows in the basis of `others`, and the row terms of the objective."""
    eigenvalues, basis = np.linalg.eigh(others.T @ others)
    counts = np.diff(matrix.indptr)
    weights, targets, _ = objective.pair_terms(matrix.data)
    wide = np.zeros((matrix.shape[0], others.shape[1])) if start is None else start @ basis
    rows = np.ascontiguousarray(wide, dtype=np.float32)
    quadratic = solve_rows(
        matrix.indptr,
        matrix.indices,
        weights,
        targets,
        objective.ridge(counts, len(others)).astype(np.float32),
        (objective.base_weight * eigenvalues).astype(np.float32),
        np.ascontiguousarray(others @ basis, dtype=np.float32),
        rows,
        steps,
    )
    return rows @ basis.T, quadratic + objective.constant(matrix.data, targets)


def test_enough_steps_give_the_exact_solution(objective):
    matrix, others = random_csr(), np.random.default_rng(2).normal(size=(20, 6))
    rows, _ = solve(matrix, others, objective, steps=12)
    np.testing.assert_allclose(rows, dense_rows(matrix, others, objective), atol=2e-3, rtol=2e-3)


def test_the_returned_sum_is_the_objective(objective):
    matrix, others = random_csr(), np.random.default_rng(2).normal(size=(20, 6))
    start = np.random.default_rng(3).normal(size=(30, 6))
    rows, terms = solve(matrix, others, objective, steps=2, start=start)
    counts = np.bincount(matrix.indices, minlength=20)
    own = (objective.ridge(counts, 30) * (others**2).sum(axis=1))[counts > 0].sum()
    np.testing.assert_allclose(terms + own, dense_objective(matrix, rows, others, objective), rtol=1e-4)


def test_passes_lower_the_objective_to_that_of_exact_passes(objective):
    matrix = random_csr(40, 25)
    transposed = random_csr(40, 25).T.tocsr()
    transposed.indptr = transposed.indptr.astype(np.int64)
    rng = np.random.default_rng(5)
    users, items = rng.normal(size=(40, 4)) / 2, rng.normal(size=(25, 4)) / 2
    exact_users = users
    for _ in range(12):
        items, _ = solve(transposed, users, objective, 3, items)
        users, _ = solve(matrix, items, objective, 3, users)
        exact_items = dense_rows(transposed, exact_users, objective)
        exact_users = dense_rows(matrix, exact_items, objective)
    found = dense_objective(matrix, users, items, objective)
    assert found <= 1.003 * dense_objective(matrix, exact_users, exact_items, objective)


def test_rows_without_entries_become_zero_and_rank_may_exceed_the_items():
    matrix = sparse.csr_matrix((np.array([1.0], np.float32), np.array([0]), np.array([0, 0, 1])), shape=(2, 3))
    matrix.indptr, matrix.indices = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    others = np.random.default_rng(2).normal(size=(3, 8))
    rows, _ = solve(matrix, others, MLLIB, 12, start=np.ones((2, 8)))
    assert not rows[0].any()
    np.testing.assert_allclose(rows, dense_rows(matrix, others, MLLIB), atol=1e-3)


@pytest.mark.parametrize("value", [1e-30, 1e12, 1e30])
def test_extreme_confidences_give_finite_rows(value):
    matrix = random_csr()
    matrix.data[::3] = value
    rows, terms = solve(matrix, np.random.default_rng(2).normal(size=(20, 6)), MLLIB, 3)
    assert np.isfinite(rows).all()
    assert np.isfinite(terms)


def test_read_only_maps_need_no_other_compilation(tmp_path):
    matrix, others = random_csr(), np.random.default_rng(2).normal(size=(20, 6))
    expected, _ = solve(matrix, others, MLLIB, 3)
    for name in ("indptr", "indices", "data"):
        np.save(tmp_path / f"{name}.npy", getattr(matrix, name))
        setattr(matrix, name, np.load(tmp_path / f"{name}.npy", mmap_mode="r", allow_pickle=False))
    np.testing.assert_array_equal(solve(matrix, others, MLLIB, 3)[0], expected)
