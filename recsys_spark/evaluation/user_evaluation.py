"""Scoring users and measuring their lists on executors, in blocks: only sums leave a task.

Ranking is full: every item that a model serves competes, but what the user is known to have played. A user whom a
model cannot serve has an empty list and counts as not found.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from recsys_spark.core.errors import TrainingError
from recsys_spark.evaluation.evaluation_setup import EvaluationSetup, ScoringModel
from recsys_spark.evaluation.user_arrays import UserArrays
from recsys_spark.evaluation.user_metrics import list_metrics, rank_items, rating_errors
from recsys_spark.metrics.bootstrap import user_weights
from recsys_spark.metrics.slices import SLICES, slice_of

__all__ = ["evaluate_batches", "evaluate_users", "sum_tasks"]

TASK_SCHEMA = "model INT, sums BINARY, users BINARY, item_idx ARRAY<INT>, lists ARRAY<BIGINT>, error STRING"
SCHEMA = "model INT, sums BINARY, users BINARY, lists ARRAY<BIGINT>, items ARRAY<BIGINT>, error STRING"
BLOCK_USERS = 256


def evaluate_users(users: DataFrame, setup: EvaluationSetup) -> DataFrame:
    """A row a model: model INT, its place in the setup; sums BINARY, float64 (slices, 1 + draws, columns), over its
    users; users BINARY, float64 (slices, 1 + draws), how many; `items` of them stand in the heads of `lists` lists;
    error STRING where the model's scores cannot be used.

    `users` as build_evaluation_inputs gives them, with models in the order of the setup. A task holds an Arrow batch of users,
    the scores of a block, and a number an item for each model.
    """
    return sum_tasks(users.mapInArrow(partial(evaluate_batches, setup), TASK_SCHEMA), setup)


def sum_tasks(tasks: DataFrame, setup: EvaluationSetup) -> DataFrame:
    """From a row a task and model (TASK_SCHEMA) to a row a model; a task holds one model's rows of all tasks."""
    return tasks.groupBy("model").applyInArrow(partial(_sum_model, setup), SCHEMA)


def _sum_model(setup: EvaluationSetup, rows: pa.Table) -> pa.Table:
    tally = _MetricSums(setup)
    lists = tally.lists
    for row in rows.to_pylist():
        tally.sums += np.frombuffer(row["sums"]).reshape(tally.sums.shape)
        tally.users += np.frombuffer(row["users"]).reshape(tally.users.shape)
        lists[row["item_idx"]] += np.array(row["lists"], np.int64)
        tally.error = tally.error or row["error"]
    in_lists, items = np.unique(lists[lists > 0], return_counts=True)
    return pa.Table.from_pydict(
        {
            "model": pa.array(rows["model"].to_pylist()[:1], pa.int32()),
            "sums": pa.array([tally.sums.tobytes()], pa.binary()),
            "users": pa.array([tally.users.tobytes()], pa.binary()),
            "lists": pa.array([in_lists], pa.list_(pa.int64())),
            "items": pa.array([items], pa.list_(pa.int64())),
            "error": pa.array([tally.error], pa.string()),
        }
    )


class _MetricSums:
    """The sums of one model."""

    def __init__(self, setup: EvaluationSetup) -> None:
        self.sums = np.zeros((len(SLICES), 1 + setup.draws, len(setup.columns)))
        self.users = np.zeros((len(SLICES), 1 + setup.draws))
        self.lists = np.zeros(setup.popularity.n_items, np.int64)
        self.error: str | None = None

    def add(self, values: NDArray[np.float64], weights: NDArray[np.float64], slices: NDArray[np.intp]) -> None:
        """Adds users: values (n, columns), weights (n, 1 + draws), and the slice of each."""
        for place in np.unique(slices):
            inside = np.flatnonzero(slices == place)
            sums, users = weights[inside].T @ values[inside], weights[inside].sum(axis=0)
            # The first slice is everybody.
            for row in (0, place):
                self.sums[row] += sums
                self.users[row] += users

    def as_row(self) -> tuple[bytes, bytes, NDArray[np.intp], NDArray[np.int64], str | None]:
        """What leaves the task."""
        items = np.flatnonzero(self.lists)
        return self.sums.tobytes(), self.users.tobytes(), items, self.lists[items], self.error


def evaluate_batches(setup: EvaluationSetup, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What a task does with its users."""
    tallies: list[_MetricSums] = []
    for batch in batches:
        # A task without users has nothing to say.
        tallies = tallies or [_MetricSums(setup) for _ in setup.models]
        for start in range(0, batch.num_rows, BLOCK_USERS):
            _evaluate_block(UserArrays.of(batch.slice(start, BLOCK_USERS)), setup, tallies)
    for number, tally in enumerate(tallies):
        sums, users, items, lists, error = tally.as_row()
        yield pa.RecordBatch.from_pydict(
            {
                "model": pa.array([number], pa.int32()),
                "sums": pa.array([sums], pa.binary()),
                "users": pa.array([users], pa.binary()),
                "item_idx": pa.array([items], pa.list_(pa.int32())),
                "lists": pa.array([lists], pa.list_(pa.int64())),
                "error": pa.array([error], pa.string()),
            }
        )


def _evaluate_block(users: UserArrays, setup: EvaluationSetup, tallies: list[_MetricSums]) -> None:
    weights = user_weights(users.user_idx, setup.draws, setup.seed)
    slices = slice_of(users.known_items())
    for number, (model, tally) in enumerate(zip(setup.models, tallies, strict=True)):
        if tally.error is None:
            try:
                tally.add(_block_metrics(users, number, model, setup, tally), weights, slices)
            except TrainingError as error:
                tally.error = str(error)


def _block_metrics(
    users: UserArrays, number: int, model: ScoringModel, setup: EvaluationSetup, tally: _MetricSums
) -> NDArray[np.float64]:
    block = users.block_for(number, model.history_order)
    if setup.ratings is not None:
        return rating_errors(model, users, block, setup)
    lists = rank_items(model, users, block, setup.longest)
    heads = lists.item_idx[:, : setup.list_length]
    filled = np.arange(heads.shape[1]) < lists.length[:, None]
    tally.lists += np.bincount(heads[filled], minlength=tally.lists.size)
    return list_metrics(lists, users, setup)
