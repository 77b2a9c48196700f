"""Metric values from the sums of tasks, against lists ranked and measured one by one."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from recsys_spark.core.errors import TrainingError
from recsys_spark.evaluation import user_evaluation
from recsys_spark.evaluation.evaluation_setup import EvaluationSetup, RatingRange, ScoringModel
from recsys_spark.evaluation.metric_values import MetricValue, compute_metric_values
from recsys_spark.evaluation.user_evaluation import TASK_SCHEMA, sum_tasks
from recsys_spark.metrics.slices import SLICES
from recsys_spark.models.popularity import PopularityScorer
from recsys_spark.preparation.held_out_pairs import INPUT, MASKED, TARGET
from recsys_spark.ranking.dot_scorer import DotScorer
from tests.matrices import MakeMatrix

N_USERS, N_ITEMS, RANK = 40, 30, 4
METRICS = ("ndcg@5", "recall@5", "precision@5", "mrr@40")


class World:
    """Random tastes; items 28 and 29 have no training pairs and no vectors."""

    def __init__(self, make_matrix: MakeMatrix) -> None:
        generator = np.random.default_rng(3)
        self.users = generator.normal(size=(N_USERS, RANK)).astype(np.float32)
        # The last user has no vector.
        self.users[-1] = 0
        self.items = generator.normal(size=(N_ITEMS, RANK)).astype(np.float32)
        self.items[28:] = 0
        self.role = generator.choice([INPUT, MASKED, TARGET, -1], size=(N_USERS, N_ITEMS), p=[0.3, 0.1, 0.2, 0.4])
        self.role[:, 28] = TARGET
        self.rating = generator.integers(1, 6, (N_USERS, N_ITEMS)).astype(float)
        self.popularity = (self.role == INPUT).sum(axis=0)
        self.popularity[28:] = 0
        matrix = make_matrix(self.items, 8)
        model = ScoringModel("model-1", DotScorer(matrix), "column", matrix)
        popular = make_matrix(self.popularity[:, None], 8)
        popularity = ScoringModel("popularity-1", PopularityScorer(popular), "column", popular)
        self.setup = EvaluationSetup((model, popularity), METRICS, None, popular, N_USERS, 5, 3, 1)

    def batch(self) -> pa.RecordBatch:
        """Return the users as build_evaluation_inputs does: pairs by role, then item."""
        columns: dict[str, list[Any]] = {
            name: [] for name in ("role", "item_idx", "rating", "time", "tie", "confidence_0")
        }
        for user in range(N_USERS):
            pairs = sorted((int(self.role[user, item]), item) for item in np.flatnonzero(self.role[user] >= 0))
            columns["role"].append([role for role, _ in pairs])
            columns["item_idx"].append([item for _, item in pairs])
            columns["rating"].append([self.rating[user, item] for _, item in pairs])
            columns["time"].append([None] * len(pairs))
            columns["tie"].append([0] * len(pairs))
            columns["confidence_0"].append([1.0 if role == INPUT else None for role, _ in pairs])
        types = {
            "role": pa.int32(),
            "item_idx": pa.int32(),
            "rating": pa.float64(),
            "time": pa.int64(),
            "tie": pa.int64(),
        }
        arrays = {name: pa.array(lists, pa.list_(types.get(name, pa.float32()))) for name, lists in columns.items()}
        vectors = [vector.tolist() if vector.any() else None for vector in self.users]
        return pa.RecordBatch.from_pydict(
            {
                "user_idx": pa.array(range(N_USERS), pa.int32()),
                **arrays,
                "confidence_1": arrays["confidence_0"],
                "vector_0": pa.array(vectors, pa.list_(pa.float32())),
                "vector_1": pa.array([None] * N_USERS, pa.list_(pa.float32())),
            }
        )

    def ranked(self, user: int, scores: NDArray[np.float32]) -> list[int]:
        """Return items by score, then number, without played items and those without training pairs."""
        open_items = [item for item in range(28) if self.role[user, item] not in (INPUT, MASKED)]
        return sorted(
            (item for item in open_items if np.isfinite(scores[item])), key=lambda item: (-scores[item], item)
        )


@pytest.fixture
def world(make_matrix: MakeMatrix) -> World:
    return World(make_matrix)


def values_of_tasks(
    spark: SparkSession, world: World, setup: EvaluationSetup
) -> dict[tuple[str, str, str], MetricValue]:
    """Return (version, metric, slice) -> value, added up from two tasks."""
    batch = world.batch()
    rows = [row for part in (batch.slice(0, 15), batch.slice(15)) for row in task_rows(setup, part)]
    frame = spark.createDataFrame([tuple(row.values()) for row in rows], TASK_SCHEMA)
    return {(v.version, v.metric, v.slice): v for v in compute_metric_values(sum_tasks(frame, setup), setup)}


def task_rows(setup: EvaluationSetup, batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    for result in user_evaluation.evaluate_batches(setup, iter([batch])):
        yield from result.to_pylist()


def expected(world: World, user: int, ranked: list[int]) -> dict[str, float]:
    found = set(np.flatnonzero(world.role[user] == TARGET))
    hits = [item in found for item in ranked]
    gain = sum(hit / np.log2(place + 2) for place, hit in enumerate(hits[:5]))
    ideal = sum(1 / np.log2(place + 2) for place in range(min(5, len(found))))
    first = next((1 / (place + 1) for place, hit in enumerate(hits[:40]) if hit), 0)
    return {
        "ndcg@5": gain / ideal,
        "recall@5": sum(hits[:5]) / len(found),
        "precision@5": sum(hits[:5]) / 5,
        "mrr@40": first,
    }


def test_rankings_are_measured_by_the_definitions_of_the_metrics(
    spark: SparkSession, world: World, monkeypatch
) -> None:
    monkeypatch.setattr(user_evaluation, "BLOCK_USERS", 7)
    found = values_of_tasks(spark, world, world.setup)
    model = [world.ranked(user, world.users[user] @ world.items.T) for user in range(N_USERS - 1)] + [[]]
    scores = np.where(world.popularity > 0, world.popularity, -np.inf).astype(np.float32)
    popular = [world.ranked(user, scores) for user in range(N_USERS)]
    for version, ranked in (("model-1", model), ("popularity-1", popular)):
        values = [expected(world, user, ranked[user]) for user in range(N_USERS)]
        for metric in METRICS:
            value = found[version, metric, "all"]
            assert value.value == pytest.approx(np.mean([user[metric] for user in values])), metric
            assert value.users == N_USERS
        for name, users in slices_of(world).items():
            assert found[version, "ndcg@5", name].value == pytest.approx(np.mean([values[u]["ndcg@5"] for u in users]))
        in_lists = {item for items in ranked for item in items[:5]}
        assert found[version, "coverage@5", "all"].value == len(in_lists) / np.count_nonzero(world.popularity)
    assert found["model-1", "served", "all"].value == (N_USERS - 1) / N_USERS
    bits = [-np.log2(world.popularity[item] / N_USERS) for items in model for item in items[:5]]
    assert found["model-1", "novelty@5", "all"].value == pytest.approx(np.mean(bits))
    for name, users in {"all": list(range(N_USERS)), **slices_of(world)}.items():
        lift = found["model-1", "popularity_lift@5", name]
        assert lift.value == pytest.approx(group_lift(world, [(user, model[user][:5]) for user in users]))
        assert lift.ci_low is not None and lift.ci_high is not None and lift.ci_low <= lift.ci_high


def group_lift(world: World, lists: list[tuple[int, list[int]]]) -> float:
    """Return (GAP_r - GAP_p) / GAP_p of the users with a list; GAP is a mean over users of their items' mean."""
    listed, played = [], []
    for user, items in lists:
        history = np.flatnonzero(np.isin(world.role[user], (INPUT, MASKED)))
        if items:
            listed.append(world.popularity[items].mean())
            played.append(world.popularity[history].mean())
    return float((np.mean(listed) - np.mean(played)) / np.mean(played))


def slices_of(world: World) -> dict[str, list[int]]:
    names: dict[str, list[int]] = {}
    for user in range(N_USERS):
        known = int((world.role[user] == INPUT).sum())
        names.setdefault(
            "known_items=1-5" if known < 6 else "known_items=6-10" if known < 11 else "known_items=11-20", []
        ).append(user)
    return names


def test_predicted_ratings_are_clipped_and_the_middle_without_training_data(
    spark: SparkSession, world: World, make_matrix: MakeMatrix
) -> None:
    # Targets are items with ratings; predictions are the products, clipped to 2 .. 4.
    setup = EvaluationSetup(world.setup.models[:1], (), RatingRange(2.0, 4.0), world.setup.popularity, N_USERS, 5, 0, 1)
    found = values_of_tasks(spark, world, setup)
    errors, known = [], 0
    for user in range(N_USERS):
        for item in np.flatnonzero(world.role[user] == TARGET):
            is_known = user < N_USERS - 1 and world.popularity[item] > 0
            predicted = np.clip(world.users[user] @ world.items[item], 2, 4) if is_known else 3
            errors.append(predicted - world.rating[user, item])
            known += is_known
    assert found["model-1", "rmse", "all"].value == pytest.approx(np.sqrt(np.mean(np.square(errors))))
    assert found["model-1", "mae", "all"].value == pytest.approx(np.mean(np.abs(errors)))
    assert found["model-1", "served", "all"].value == pytest.approx(known / len(errors))
    assert found["model-1", "rmse", "all"].ci_low is None


def test_sums_of_tasks_are_added_without_python_numbers(world: World, make_matrix: MakeMatrix) -> None:
    """Eight tasks with 50,000 items each: as Python numbers, the items alone would take 30 MB."""
    n_tasks, n_items = 8, 50_000
    popularity = make_matrix(np.ones((n_items, 1), np.float32), 10_000)
    setup = EvaluationSetup(world.setup.models, METRICS, None, popularity, N_USERS, 5, 0, 1)
    shape, items = (len(SLICES), 1, len(setup.columns)), np.arange(n_items, dtype=np.int32)
    rows = {
        "model": pa.array([1] * n_tasks, pa.int32()),
        "sums": pa.array([np.full(shape, task).tobytes() for task in map(float, range(n_tasks))], pa.binary()),
        "users": pa.array([np.ones(shape[:2]).tobytes()] * n_tasks, pa.binary()),
        "item_idx": pa.ListArray.from_arrays(np.arange(n_tasks + 1) * n_items, pa.array(np.tile(items, n_tasks))),
        "lists": pa.ListArray.from_arrays(
            np.arange(n_tasks + 1) * n_items, pa.array(np.tile(1 + items % 2, n_tasks).astype(np.int64))
        ),
        "error": pa.array([None] * n_tasks, pa.string()),
    }
    tracemalloc.start()
    (found,) = user_evaluation._sum_model(setup, pa.table(rows)).to_pylist()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
    assert (found["model"], found["error"]) == (1, None)
    assert (found["lists"], found["items"]) == ([n_tasks, 2 * n_tasks], [n_items // 2, n_items // 2])
    assert np.frombuffer(found["sums"]).tolist() == [sum(range(n_tasks))] * int(np.prod(shape))
    assert set(np.frombuffer(found["users"])) == {n_tasks}


def test_a_model_whose_scores_are_not_numbers_is_refused_by_name(spark: SparkSession, world: World) -> None:
    world.users[3] = np.nan
    with pytest.raises(TrainingError, match=r"^model-1: .*not numbers"):
        values_of_tasks(spark, world, world.setup)


def test_the_order_of_users_changes_nothing(spark: SparkSession, world: World) -> None:
    first = values_of_tasks(spark, world, world.setup)
    order = np.random.default_rng(0).permutation(N_USERS)
    shuffled = world.batch().take(pa.array(order))
    frame = spark.createDataFrame([tuple(row.values()) for row in task_rows(world.setup, shuffled)], TASK_SCHEMA)
    for value in compute_metric_values(sum_tasks(frame, world.setup), world.setup):
        other = first[value.version, value.metric, value.slice]
        assert value.value == pytest.approx(other.value) and value.ci_low == pytest.approx(other.ci_low)


def test_lists_longer_than_the_catalogue_are_measured(spark: SparkSession, world: World) -> None:
    setup = EvaluationSetup(world.setup.models, ("recall@1000",), None, world.setup.popularity, N_USERS, 5, 0, 1)
    found = values_of_tasks(spark, world, setup)
    reachable = world.role == TARGET
    reachable[:, world.popularity == 0] = False
    shares = reachable.sum(axis=1) / (world.role == TARGET).sum(axis=1)
    assert found["popularity-1", "recall@1000", "all"].value == pytest.approx(shares.mean())


def test_equal_scores_are_ranked_by_item_and_items_without_vectors_are_left_out(
    spark: SparkSession, world: World, make_matrix: MakeMatrix
) -> None:
    """Items 0 to 13 all have the score 1; the others have no vectors and are never listed."""
    items = np.zeros((N_ITEMS, 1), np.float32)
    items[:14] = 1
    world.users = np.ones((N_USERS, 1), np.float32)
    matrix = make_matrix(items, 8)
    model = ScoringModel("model-1", DotScorer(matrix), "column", matrix)
    setup = EvaluationSetup((model,), METRICS, None, world.setup.popularity, N_USERS, 5, 0, 1)
    ranked = [[item for item in range(14) if world.role[user, item] not in (INPUT, MASKED)] for user in range(N_USERS)]
    values = [expected(world, user, ranked[user]) for user in range(N_USERS)]
    for batch in (world.batch(), world.batch().take(pa.array(np.random.default_rng(1).permutation(N_USERS)))):
        frame = spark.createDataFrame([tuple(row.values()) for row in task_rows(setup, batch)], TASK_SCHEMA)
        found = {(v.metric, v.slice): v.value for v in compute_metric_values(sum_tasks(frame, setup), setup)}
        for metric in METRICS:
            assert found[metric, "all"] == pytest.approx(np.mean([value[metric] for value in values]))
