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
from recsys_spark.evaluation.evaluation_setup import Judged, Panel
from recsys_spark.evaluation.user_metrics import list_values, ranked_lists, rating_values
from recsys_spark.evaluation.users import Users
from recsys_spark.metrics.bootstrap import user_weights
from recsys_spark.metrics.slices import SLICES, slice_of

__all__ = ["add_up", "judge", "judge_batches"]

TASK_SCHEMA = "model INT, sums BINARY, users BINARY, item_idx ARRAY<INT>, lists ARRAY<BIGINT>, error STRING"
SCHEMA = "model INT, sums BINARY, users BINARY, lists ARRAY<BIGINT>, items ARRAY<BIGINT>, error STRING"
BLOCK_USERS = 256


def judge(users: DataFrame, panel: Panel) -> DataFrame:
    """A row a model: model INT, its place in the panel; sums BINARY, float64 (slices, 1 + draws, columns), over its
    users; users BINARY, float64 (slices, 1 + draws), how many; `items` of them stand in the heads of `lists` lists;
    error STRING where the model's scores cannot be used.

    `users` as judged_users gives them, with models in the order of the panel. A task holds an Arrow batch of users,
    the scores of a block, and a number an item for each model.
    """
    return add_up(users.mapInArrow(partial(judge_batches, panel), TASK_SCHEMA), panel)


def add_up(tasks: DataFrame, panel: Panel) -> DataFrame:
    """From a row a task and model (TASK_SCHEMA) to a row a model; a task holds one model's rows of all tasks."""
    return tasks.groupBy("model").applyInArrow(partial(_added_up, panel), SCHEMA)


def _added_up(panel: Panel, rows: pa.Table) -> pa.Table:
    tally = _Tally(panel)
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


class _Tally:
    """The sums of one model."""

    def __init__(self, panel: Panel) -> None:
        self.sums = np.zeros((len(SLICES), 1 + panel.draws, len(panel.columns)))
        self.users = np.zeros((len(SLICES), 1 + panel.draws))
        self.lists = np.zeros(panel.popularity.n_items, np.int64)
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


def judge_batches(panel: Panel, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What a task does with its users."""
    tallies: list[_Tally] = []
    for batch in batches:
        # A task without users has nothing to say.
        tallies = tallies or [_Tally(panel) for _ in panel.models]
        for start in range(0, batch.num_rows, BLOCK_USERS):
            _judge_block(Users.of(batch.slice(start, BLOCK_USERS)), panel, tallies)
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


def _judge_block(users: Users, panel: Panel, tallies: list[_Tally]) -> None:
    weights = user_weights(users.user_idx, panel.draws, panel.seed)
    slices = slice_of(users.known_items())
    for number, (model, tally) in enumerate(zip(panel.models, tallies, strict=True)):
        if tally.error is None:
            try:
                tally.add(_measured(users, number, model, panel, tally), weights, slices)
            except TrainingError as error:
                tally.error = str(error)


def _measured(users: Users, number: int, model: Judged, panel: Panel, tally: _Tally) -> NDArray[np.float64]:
    block = users.block_for(number, model.history_order)
    if panel.ratings is not None:
        return rating_values(model, users, block, panel)
    lists = ranked_lists(model, users, block, panel.longest)
    heads = lists.item_idx[:, : panel.list_length]
    filled = np.arange(heads.shape[1]) < lists.length[:, None]
    tally.lists += np.bincount(heads[filled], minlength=tally.lists.size)
    return list_values(lists, users, panel)
