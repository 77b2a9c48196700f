"""Tasks of a block: start, and one solve for all of its rows.

They need no Spark. A task can be repeated: it reads complete files and writes each of its own under a temporary name.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys_spark.core.csr import Csr
from recsys_spark.models.block_als.csr_blocks import Side, read_block
from recsys_spark.models.block_als.factor_files import BlockResult, map_rotated, read_factors, write_factors
from recsys_spark.models.block_als.objective import Objective

__all__ = ["INPUTS", "NOT_FINITE", "GivenStart", "RandomStart", "Solve", "Task", "random_rows", "write_start"]

Reals = NDArray[np.float32]
Task = Callable[[int], BlockResult]

INPUTS = "inputs.npz"
NOT_FINITE = (
    "some vectors are not finite: train again with stronger regularisation (models.als.reg_param), or with smaller "
    "weights (models.als.alpha, models.als.weighting)"
)
# Rows that share a random generator: the start does not depend on the blocks.
CHUNK = 1024


@dataclass(frozen=True)
class RandomStart:
    """Random factors for the rows with entries, with a standard deviation of scale / sqrt(rank)."""

    side: Side
    n_others: int
    objective: Objective
    folder: str
    rank: int
    scale: float
    seed: int

    def __call__(self, block: int) -> BlockResult:
        started, (first, last) = time.perf_counter(), self.side.rows(block)
        rows = random_rows(self.seed, first, last, self.rank, self.scale)
        penalty = write_start(self.folder, self.side, block, rows, self.n_others, self.objective)
        return BlockResult(block, 0.0, penalty, time.perf_counter() - started)


@dataclass(frozen=True)
class GivenStart:
    """Factors of an earlier version for the rows with entries; rows that it does not have start from zero."""

    side: Side
    n_others: int
    objective: Objective
    folder: str
    rank: int

    def __call__(self, block: int, numbers: NDArray[np.int32], vectors: Reals) -> BlockResult:
        started, (first, last) = time.perf_counter(), self.side.rows(block)
        rows = np.zeros((last - first, self.rank), np.float32)
        rows[numbers - first] = vectors
        penalty = write_start(self.folder, self.side, block, rows, self.n_others, self.objective)
        return BlockResult(block, 0.0, penalty, time.perf_counter() - started)


@dataclass(frozen=True)
class Solve:
    """One pass: rows of `side` for fixed factors of `other`, in folder `source`.

    The driver has written rotations and eigenvalues to the file INPUTS in `folder`. Without `start` the rows start from
    zero.
    """

    side: Side
    other: Side
    objective: Objective
    folder: str
    source: str
    start: str | None
    steps: int

    def __call__(self, block: int) -> BlockResult:
        # numba takes a second to import, and the driver does not need it.
        from recsys_spark.models.block_als.kernel import solve_rows

        started, (first, last) = time.perf_counter(), self.side.rows(block)
        with np.load(Path(self.folder) / INPUTS, allow_pickle=False) as inputs:
            rotation, start_rotation, eigenvalues = (inputs[name] for name in ("rotation", "start", "eigenvalues"))
        spread = block * self.other.n_blocks // self.side.n_blocks
        others = map_rotated(self.source, self.other, rotation, self.folder, spread)
        if self.start is None:
            rows = np.zeros((last - first, rotation.shape[0]), np.float32)
        else:
            rows = np.ascontiguousarray(read_factors(self.start, block, last - first) @ start_rotation)
        csr = read_block(self.side, block)
        weights, targets, counted = self.objective.pair_terms(csr.values)
        ridge = _row_ridge(csr, counted, self.other.n_rows, self.objective)
        weights, targets, narrow = (_float32(values) for values in (weights, targets, ridge))
        loss = solve_rows(csr.indptr, csr.indices, weights, targets, narrow, eigenvalues, others, rows, self.steps)
        loss += self.objective.constant(csr.values, targets)
        if not np.isfinite(loss) or not np.isfinite(rows).all():
            return BlockResult(block, 0.0, 0.0, 0.0, NOT_FINITE)
        write_factors(self.folder, block, rows)
        return BlockResult(block, loss, _penalty(ridge, rows), time.perf_counter() - started)


def random_rows(seed: int, first: int, last: int, rank: int, scale: float) -> Reals:
    """Return random rows [first, last) of a side, (last - first, rank).

    Their standard deviation is scale / sqrt(rank). A row has the same numbers whatever the blocks are.
    """
    chunks = range(first // CHUNK, -(-last // CHUNK))
    drawn = [np.random.default_rng((seed, chunk)).standard_normal((CHUNK, rank), dtype=np.float32) for chunk in chunks]
    offset = first - chunks.start * CHUNK
    rows: Reals = np.concatenate(drawn)[offset : offset + last - first]
    rows *= np.float32(scale / np.sqrt(rank))
    return rows


def write_start(folder: str, side: Side, block: int, rows: Reals, n_others: int, objective: Objective) -> float:
    """Write the rows of a start, zero without entries; return their regularisation."""
    csr = read_block(side, block)
    rows[np.diff(csr.indptr) == 0] = 0
    write_factors(folder, block, rows)
    _, _, counted = objective.pair_terms(csr.values)
    return _penalty(_row_ridge(csr, counted, n_others, objective), rows)


def _row_ridge(csr: Csr, counted: NDArray[np.bool_], n_others: int, objective: Objective) -> NDArray[np.float64]:
    """Return the regularisation of rows, (n,): zero without entries; `counted` is of pair_terms."""
    totals = np.concatenate(([0], np.cumsum(counted)))
    ridge = objective.ridge(totals[csr.indptr[1:]] - totals[csr.indptr[:-1]], n_others)
    return np.where(np.diff(csr.indptr) > 0, ridge, 0)


def _penalty(ridge: NDArray[np.float64], rows: Reals) -> float:
    return float(ridge @ np.einsum("ij,ij->i", rows, rows, dtype=np.float64))


def _float32(values: NDArray[Any]) -> Reals:
    """Return finite values of the type of the kernel; larger ones are cut to its range."""
    limit = np.finfo(np.float32).max
    return np.ascontiguousarray(np.clip(values, -limit, limit), dtype=np.float32)
