"""Growth of the rank between passes: the first iterations have short vectors, and are cheaper.

After each iteration the rank doubles until it is that of the settings. The users' vectors get random columns, and the
next pass solves for the items, whose new columns start from zero.
"""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys_spark.models.block_als.csr_blocks import Side
from recsys_spark.models.block_als.factor_files import BlockResult, Factors, read_factors
from recsys_spark.models.block_als.objective import Objective
from recsys_spark.models.block_als.tasks import random_rows, write_start

__all__ = ["Widen", "rank_of_pass", "widened_basis"]


@dataclass(frozen=True)
class Widen:
    """Task: the users' factors with random columns more, of standard deviation scale / sqrt(rank)."""

    side: Side
    n_others: int
    objective: Objective
    folder: str
    source: str
    rank: int
    scale: float
    seed: int

    def __call__(self, block: int) -> BlockResult:
        started, (first, last) = time.perf_counter(), self.side.rows(block)
        stored = read_factors(self.source, block, last - first)
        rows = random_rows(self.seed, first, last, self.rank, self.scale)
        rows[:, : stored.shape[1]] = stored
        penalty = write_start(self.folder, self.side, block, rows, self.n_others, self.objective)
        return BlockResult(block, 0.0, penalty, time.perf_counter() - started)


def rank_of_pass(number: int, first_rank: int, rank: int) -> int:
    """Return the rank of pass `number`, of which 0 is the first; first_rank 0 is the full rank from the start."""
    return rank if not first_rank else int(min(rank, first_rank << min(number // 2, 10)))


def widened_basis(factors: Factors, rank: int) -> NDArray[np.float64]:
    """Return the basis of factors with columns added up to `rank`, (rank, rank)."""
    basis, narrow = np.eye(rank), factors.basis
    basis[: len(narrow), : len(narrow)] = narrow
    return basis
