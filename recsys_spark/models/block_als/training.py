"""Passes over the blocks, with a checkpoint after each.

A pass solves all rows of one side for fixed factors of the other one. The driver holds k x k matrices and a few numbers
a block. A run that was killed goes on after its last complete pass, and ends with the same bytes.
"""

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys_spark.core.atomic_files import atomic_write
from recsys_spark.core.errors import TrainingError
from recsys_spark.models.block_als.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from recsys_spark.models.block_als.csr_blocks import Side
from recsys_spark.models.block_als.factor_files import BlockResult, Factors, finish_factors
from recsys_spark.models.block_als.growing_rank import Widen, rank_of_pass, widened_basis
from recsys_spark.models.block_als.objective import Objective
from recsys_spark.models.block_als.tasks import INPUTS, RandomStart, Solve, Task

__all__ = ["Passes", "Runner", "Start", "run_passes"]

log = logging.getLogger(__name__)

# Runs a task for each block and returns the results in any order.
Runner = Callable[[Task, int], list[BlockResult]]
# Writes given factors of a side to a folder, with the size of the other side, and returns the results of its blocks.
Start = Callable[[Side, str, int], list[BlockResult]]


@dataclass(frozen=True)
class Passes:
    """Settings of a run; an iteration is a pass over the items and one over the users.

    `start` writes the factors of an earlier version, and None is a random start. The run ends before max_iter
    iterations when a pass lowers the objective by a share below `tolerance`. With `first_rank` a random start has
    that rank, which doubles after each iteration until it is `rank`.
    """

    objective: Objective
    rank: int
    max_iter: int
    steps: int
    seed: int
    scale: float
    tolerance: float = 0.0
    start: Start | None = None
    first_rank: int = 0

    def rank_of(self, number: int) -> int:
        """Return the rank of pass `number`, of which 0 is the first."""
        return rank_of_pass(number, 0 if self.start is not None else self.first_rank, self.rank)


def run_passes(users: Side, items: Side, folder: Path, passes: Passes, run: Runner) -> Checkpoint:
    """Train and return the last checkpoint.

    The run goes on from the newest checkpoint below `folder`, if there is one. Raises TrainingError for factors that
    are not finite.
    """
    sides = {"users": users, "items": items}
    done = read_checkpoint(folder, sides)
    if done is None:
        done = _begin(sides, folder, passes, run)
    else:
        log.info("going on after pass %d", done.number)
    while not _is_finished(done, passes):
        started = time.monotonic()
        # A warm start first solves for the users, which gives vectors to new ones.
        first = "items" if passes.start is None else "users"
        if len(done.users.basis) < passes.rank_of(done.number):
            done = _widen(done, sides, folder, passes, run)
        second = "users" if first == "items" else "items"
        side = first if done.number % 2 == 0 else second
        done = _solve(done, sides, side, folder, passes, run)
        done = replace(done, seconds=(*done.seconds, time.monotonic() - started))
        write_checkpoint(folder, done)
        log.info(
            "pass %d, %s: objective %.8g, %.6g a user, in %.1f s",
            *(done.number, side, done.objectives[-1], done.objectives[-1] / users.n_rows, done.seconds[-1]),
        )
    return done


def _begin(sides: dict[str, Side], folder: Path, passes: Passes, run: Runner) -> Checkpoint:
    """Write the factors of the start: random users, or both sides of an earlier version."""
    rank = passes.rank_of(0)
    identity = np.eye(rank)
    found: dict[str, Factors] = {}
    for name, side in sides.items():
        own, n_others = _new_folder(folder, 0, name), sum(s.n_rows for s in sides.values()) - side.n_rows
        if passes.start is not None:
            results = passes.start(side, own, n_others)
        elif name == "users":
            task = RandomStart(side, n_others, passes.objective, own, rank, passes.scale, passes.seed)
            results = run(task, side.n_blocks)
        else:
            continue
        found[name] = finish_factors(own, side, identity, _checked(results, side)[1])
    begun = Checkpoint(0, found["users"], found.get("items"), ())
    write_checkpoint(folder, begun)
    return begun


def _widen(done: Checkpoint, sides: dict[str, Side], folder: Path, passes: Passes, run: Runner) -> Checkpoint:
    """Give the users the rank of the next pass, and write it as a checkpoint."""
    users, rank = sides["users"], passes.rank_of(done.number)
    own, source = _new_folder(folder, done.number, "users"), done.users
    settings = (passes.objective, own, source.folder, rank, passes.scale, passes.seed + rank)
    _, penalty = _checked(run(Widen(users, sides["items"].n_rows, *settings), users.n_blocks), users)
    widened = replace(done, users=finish_factors(own, users, widened_basis(source, rank), penalty))
    write_checkpoint(folder, widened)
    return widened


def _solve(
    done: Checkpoint, sides: dict[str, Side], name: str, folder: Path, passes: Passes, run: Runner
) -> Checkpoint:
    other = "users" if name == "items" else "items"
    source, start = done.of(other), done.of(name)
    assert source is not None
    own, objective = _new_folder(folder, done.number + 1, name), passes.objective
    basis = _write_inputs(own, source, start, objective)
    task = Solve(
        sides[name], sides[other], objective, own, source.folder, None if start is None else start.folder, passes.steps
    )
    loss, penalty = _checked(run(task, sides[name].n_blocks), sides[name])
    solved = finish_factors(own, sides[name], basis, penalty)
    objectives = (*done.objectives, loss + source.penalty)
    users, items = (solved, done.items) if name == "users" else (done.users, solved)
    return replace(done, number=done.number + 1, objectives=objectives, users=users, items=items)


def _write_inputs(folder: str, source: Factors, start: Factors | None, objective: Objective) -> NDArray[np.float64]:
    """Write the matrices of the tasks, and return the basis of the result."""
    rotation = np.eye(len(source.basis))
    eigenvalues = np.zeros(len(rotation))
    if objective.base_weight:
        eigenvalues, rotation = np.linalg.eigh(source.gram)
    basis = source.basis @ rotation
    arrays: dict[str, NDArray[Any]] = {
        "rotation": rotation,
        # Rows of a lower rank have zeros in the new columns.
        "start": rotation if start is None else start.basis.T @ basis[: len(start.basis)],
        "eigenvalues": objective.base_weight * np.maximum(eigenvalues, 0),
    }
    with atomic_write(Path(folder) / INPUTS) as draft, draft.open("wb") as file:
        np.savez(file, **{name: array.astype(np.float32) for name, array in arrays.items()})
    return basis


def _is_finished(done: Checkpoint, passes: Passes) -> bool:
    extra = 0 if passes.start is None else 1
    if done.number >= extra + 2 * passes.max_iter:
        return True
    # A random start has one pass more before both sides are solved for vectors that are.
    if not passes.tolerance or done.number < 3 - extra or passes.rank_of(done.number - 2) < passes.rank:
        return False
    before, after = done.objectives[-2:]
    return before - after < passes.tolerance * abs(before)


def _checked(results: list[BlockResult], side: Side) -> tuple[float, float]:
    """Return the sums of loss and regularisation in the order of the blocks."""
    ordered = sorted(results, key=lambda result: result.block)
    problem = next((result.problem for result in ordered if result.problem), None)
    if problem is not None:
        raise TrainingError(problem)
    if [result.block for result in ordered] != list(range(side.n_blocks)):
        raise TrainingError(f"the pass over the {side.name} returned {len(ordered)} of {side.n_blocks} blocks")
    slowest = max(result.seconds for result in ordered)
    log.debug("slowest block of %s: %.2f s", side.name, slowest)
    return sum(result.loss for result in ordered), sum(result.penalty for result in ordered)


def _new_folder(folder: Path, number: int, side: str) -> str:
    own = folder / f"pass-{number:04d}-{side}-{uuid.uuid4().hex[:8]}"
    own.mkdir(parents=True)
    return str(own)
