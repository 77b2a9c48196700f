"""Evaluation of models on executors, in blocks of users; a task returns sums only.

Ranking is full: every item that a model can score competes, except the items that the user has played before. A user
whom a model cannot score has an empty list and counts as a miss.
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
from recsys_spark.metrics.slices import SLICES, slice_numbers

__all__ = ["evaluate_batches", "evaluate_users", "sum_tasks"]

TASK_SCHEMA = "model INT, sums BINARY, users BINARY, item_idx ARRAY<INT>, lists ARRAY<BIGINT>, error STRING"
SCHEMA = "model INT, sums BINARY, users BINARY, lists ARRAY<BIGINT>, items ARRAY<BIGINT>, error STRING"
BLOCK_USERS = 256


def evaluate_users(users: DataFrame, setup: EvaluationSetup) -> DataFrame:
    """Evaluate the models of a setup on users and return one row a model.

    Columns: model INT, the model's place in the setup; sums BINARY, float64 (slices, 1 + draws, columns), over users;
    users BINARY, float64 (slices, 1 + draws), their number; lists ARRAY<BIGINT> and items ARRAY<BIGINT>: `items` items
    occur in the heads of `lists` lists; error STRING where the model's scores cannot be used.

    `users` are those of build_evaluation_inputs, with models in the order of the setup. A task holds an Arrow batch of
    users, the scores of a block, and a number an item for each model.
    """
    return sum_tasks(users.mapInArrow(partial(evaluate_batches, setup), TASK_SCHEMA), setup)


def sum_tasks(tasks: DataFrame, setup: EvaluationSetup) -> DataFrame:
    """Add up the rows of tasks (TASK_SCHEMA) to one row a model.

    A task of this step holds one model's rows of all tasks, as Arrow arrays: 12 bytes for each item in a task's lists.
    """
    return tasks.groupBy("model").applyInArrow(partial(_sum_model, setup), SCHEMA)


def _sum_model(setup: EvaluationSetup, rows: pa.Table) -> pa.Table:
    model_sums = _MetricSums(setup)
    lists = model_sums.lists
    for batch in rows.to_batches():
        for sums, users, error in zip(batch["sums"], batch["users"], batch["error"].to_pylist(), strict=True):
            model_sums.sums += np.frombuffer(sums.as_buffer()).reshape(model_sums.sums.shape)
            model_sums.users += np.frombuffer(users.as_buffer()).reshape(model_sums.users.shape)
            model_sums.error = model_sums.error or error
        # An item is in the lists of several tasks, which an assignment by index would add once.
        np.add.at(lists, batch["item_idx"].flatten().to_numpy(), batch["lists"].flatten().to_numpy())
    in_lists, items = np.unique(lists[lists > 0], return_counts=True)
    return pa.Table.from_pydict(
        {
            "model": pa.array([rows["model"][0].as_py()], pa.int32()),
            "sums": pa.array([model_sums.sums.tobytes()], pa.binary()),
            "users": pa.array([model_sums.users.tobytes()], pa.binary()),
            "lists": pa.array([in_lists], pa.list_(pa.int64())),
            "items": pa.array([items], pa.list_(pa.int64())),
            "error": pa.array([model_sums.error], pa.string()),
        }
    )


class _MetricSums:
    """Sums of the metrics of one model over users."""

    def __init__(self, setup: EvaluationSetup) -> None:
        self.sums = np.zeros((len(SLICES), 1 + setup.draws, len(setup.columns)))
        self.users = np.zeros((len(SLICES), 1 + setup.draws))
        self.lists = np.zeros(setup.popularity.n_items, np.int64)
        self.error: str | None = None

    def add(self, values: NDArray[np.float64], weights: NDArray[np.float64], slices: NDArray[np.intp]) -> None:
        """Add users: values (n, columns), weights (n, 1 + draws) and the slice of each, (n,)."""
        for place in np.unique(slices):
            inside = np.flatnonzero(slices == place)
            sums, users = weights[inside].T @ values[inside], weights[inside].sum(axis=0)
            # The first slice holds all users.
            for row in (0, place):
                self.sums[row] += sums
                self.users[row] += users

    def as_row(self) -> tuple[bytes, bytes, NDArray[np.intp], NDArray[np.int64], str | None]:
        """Return the fields of TASK_SCHEMA after the model's number."""
        items = np.flatnonzero(self.lists)
        return self.sums.tobytes(), self.users.tobytes(), items, self.lists[items], self.error


def evaluate_batches(setup: EvaluationSetup, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the sums of each model over the users of one task."""
    sums_of_models: list[_MetricSums] = []
    for batch in batches:
        # A task without users yields no rows.
        sums_of_models = sums_of_models or [_MetricSums(setup) for _ in setup.models]
        for start in range(0, batch.num_rows, BLOCK_USERS):
            _evaluate_block(UserArrays.from_batch(batch.slice(start, BLOCK_USERS)), setup, sums_of_models)
    for number, model_sums in enumerate(sums_of_models):
        sums, users, items, lists, error = model_sums.as_row()
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


def _evaluate_block(users: UserArrays, setup: EvaluationSetup, sums_of_models: list[_MetricSums]) -> None:
    weights = user_weights(users.user_idx, setup.draws, setup.seed)
    slices = slice_numbers(users.known_items())
    for number, (model, model_sums) in enumerate(zip(setup.models, sums_of_models, strict=True)):
        if model_sums.error is None:
            try:
                model_sums.add(_block_metrics(users, number, model, setup, model_sums), weights, slices)
            except TrainingError as error:
                model_sums.error = str(error)


def _block_metrics(
    users: UserArrays, number: int, model: ScoringModel, setup: EvaluationSetup, model_sums: _MetricSums
) -> NDArray[np.float64]:
    block = users.block_for(number, model.history_order)
    if setup.ratings is not None:
        return rating_errors(model, users, block, setup)
    lists = rank_items(model, users, block, setup.ranked_items)
    heads = lists.item_idx[:, : setup.list_length]
    filled = np.arange(heads.shape[1]) < lists.length[:, None]
    model_sums.lists += np.bincount(heads[filled], minlength=model_sums.lists.size)
    return list_metrics(lists, users, setup)
