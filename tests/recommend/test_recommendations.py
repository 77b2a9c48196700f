"""Lists for every sort of user, on a checkerboard of users and items.

The diagonal is withheld from training, so user u has played every item of its colour but item u: that item is
the right recommendation. Items 18 and 19 are newer than the model.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.models.als import als_observations, fit_als
from recsys_spark.models.als_fold_in import AlsFoldIn
from recsys_spark.models.block_als.objective import Objective
from recsys_spark.models.popularity import PopularityScorer, popularity_scores
from recsys_spark.models.settings.als import AlsSettings
from recsys_spark.models.settings.popularity import PopularitySettings
from recsys_spark.ranking.dot_scorer import DotScorer
from recsys_spark.ranking.matrix_writer import write_item_matrix
from recsys_spark.ranking.scorer import FoldIn, Origin, Queries, Scorer, UserBlock
from recsys_spark.ranking.scores import Scores, Tile
from recsys_spark.recommend.recommendations import (
    ListSettings,
    recommend,
    recommend_for_history,
    recommendation_users,
)

SIZE = 16
N_ITEMS = 20
SETTINGS = AlsSettings(rank=2, max_iter=5)
Lists = dict[int, list[tuple[int, int, float, str]]]


@dataclass(frozen=True)
class Board:
    """A trained model, and users of every sort."""

    users: DataFrame
    scorer: DotScorer
    fallback: PopularityScorer


@pytest.fixture(scope="module")
def board(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Board:
    """Return a board of users 0-15 in training, and others.

    User 16 is new and odd, 17 has only new items, 18 has none, 19 is forgotten.
    """
    folder = tmp_path_factory.mktemp("matrices")
    schema = "user_idx INT, item_idx INT, play_count BIGINT, rating DOUBLE"
    played = [(u, i, 1 + (u + i) % 3, None) for u in range(SIZE) for i in range(SIZE) if u != i and (u + i) % 2 == 0]
    train = spark.createDataFrame(played, schema)
    late = spark.createDataFrame([(16, 1, 2, None), (16, 3, 1, None), (17, 18, 1, None), (17, 2, 0, None)], schema)
    late = late.where("play_count > 0")
    factors = fit_als(train, SETTINGS, seed=1, parallelism=2)
    popularity = popularity_scores(train, PopularitySettings()).select(
        "item_idx", F.array(F.col("score").cast("float")).alias("vector")
    )
    matrix = write_item_matrix(factors.item_vectors, folder / "als", N_ITEMS, 1 << 20, tile_items=7)
    popular = write_item_matrix(popularity, folder / "popularity", N_ITEMS, 1 << 20)
    index = [(None if idx == 19 else f"u{idx}", idx) for idx in range(20)]
    users = recommendation_users(
        spark.createDataFrame(index, "user_id STRING, user_idx INT"),
        factors.user_vectors,
        als_observations(train.unionByName(late), SETTINGS),
    ).persist()
    encoder = AlsFoldIn(Objective.of(SETTINGS.model_dump()))
    return Board(users, DotScorer(matrix, encoder), PopularityScorer(popular))


def lists_of(
    board: Board,
    settings: ListSettings,
    scorer: Scorer | None = None,
    n_tasks: int | None = None,
    block_users: int = 512,
) -> Lists:
    frame = recommend(board.users, scorer or board.scorer, board.fallback, settings, n_tasks, block_users)
    lists: Lists = {}
    for row in frame.orderBy("user_idx", "position").collect():
        lists.setdefault(row["user_idx"], []).append(tuple(row)[1:])
    for rows in lists.values():
        assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
        order = [(-score, item) for _, item, score, _ in rows]
        assert order == sorted(order)
    return lists


def items(rows: list[tuple[int, int, float, str]]) -> list[int]:
    return [row[1] for row in rows]


def test_the_withheld_item_comes_first(board: Board) -> None:
    lists = lists_of(board, ListSettings(k=1))
    assert {user: items(rows) for user, rows in lists.items() if user < SIZE} == {u: [u] for u in range(SIZE)}
    assert {rows[0][3] for user, rows in lists.items() if user < SIZE} == {"model"}


def test_scores_are_dot_products(board: Board) -> None:
    vectors = {row["user_idx"]: row["vector"] for row in board.users.where("vector is not null").collect()}
    lists = lists_of(board, ListSettings(k=5, filter_seen=False))
    matrix = board.scorer.matrix
    for user, vector in vectors.items():
        scores = (matrix.rows(np.arange(SIZE)).astype(np.float64) @ vector).astype(np.float32)
        best = np.argsort(-scores, kind="stable")[:5]
        assert items(lists[user]) == best.tolist()
        np.testing.assert_allclose([row[2] for row in lists[user]], scores[best], rtol=1e-6)


def test_seen_items_only_where_allowed(board: Board) -> None:
    lists = lists_of(board, ListSettings(k=8, filter_seen=False))
    assert all(sorted(items(lists[user])) == list(range(user % 2, SIZE, 2)) for user in range(SIZE))
    lists = lists_of(board, ListSettings(k=8))
    seen = {row["user_idx"]: set(row["history"] or ()) for row in board.users.collect()}
    assert all(not seen[user] & set(items(rows)) for user, rows in lists.items())


def test_new_listener_is_folded_in(board: Board) -> None:
    """User 16 played items 1 and 3: the other odd ones follow, then even ones."""
    rows = lists_of(board, ListSettings(k=6))[16]
    assert sorted(items(rows)) == [5, 7, 9, 11, 13, 15]
    assert {row[3] for row in rows} == {"fold_in"}


def test_users_without_data_get_popular_items(board: Board) -> None:
    """Every item has 7 users, so all are tied and ordered by item_idx."""
    lists = lists_of(board, ListSettings(k=3))
    for user in (17, 18):
        assert lists[user] == [(place + 1, place, 7.0, "popular") for place in range(3)]


def test_forgotten_users_get_nothing(board: Board) -> None:
    assert sorted(lists_of(board, ListSettings(k=1))) == list(range(19))


def test_k_above_the_number_of_items(board: Board) -> None:
    """Items 16 to 19 have no vector and are in no list."""
    lists = lists_of(board, ListSettings(k=500, filter_seen=False))
    assert all(sorted(items(rows)) == list(range(SIZE)) for rows in lists.values())
    lists = lists_of(board, ListSettings(k=500))
    assert {user: len(rows) for user, rows in lists.items()} == dict.fromkeys(range(16), 9) | {
        16: 14,
        17: 16,
        18: 16,
    }


def test_denied_items_never_appear(board: Board) -> None:
    allowed = np.ones(N_ITEMS, dtype=np.bool_)
    allowed[[0, 3, 5]] = False
    lists = lists_of(board, ListSettings(k=500, filter_seen=False, allowed=allowed))
    assert all(set(items(rows)) == set(range(SIZE)) - {0, 3, 5} for rows in lists.values())
    lists = lists_of(board, ListSettings(k=500, allowed=np.zeros(N_ITEMS, dtype=np.bool_)))
    assert lists == {}


@pytest.mark.parametrize(("n_tasks", "block_users"), [(None, 3), (5, 512), (1, 1)])
def test_blocks_and_tasks_do_not_matter(board: Board, n_tasks: int | None, block_users: int) -> None:
    lists = lists_of(board, ListSettings(k=7), n_tasks=n_tasks, block_users=block_users)
    assert lists == lists_of(board, ListSettings(k=7))


def test_one_history_in_memory(board: Board) -> None:
    """The list equals the job's.

    Without an item of the model there is no list by the model, and the popular one by the fallback.
    """
    job = lists_of(board, ListSettings(k=6))[16]
    weights = np.log1p(np.array([1, 2], dtype=np.float32))
    item_idx, score = recommend_for_history(board.scorer, np.array([3, 1], dtype=np.int32), weights, ListSettings(k=6))
    assert item_idx.tolist() == items(job)
    np.testing.assert_allclose(score, [row[2] for row in job], rtol=1e-5)
    unknown = np.array([19], dtype=np.int32), np.ones(1, dtype=np.float32)
    assert recommend_for_history(board.scorer, *unknown, ListSettings(k=6))[0].size == 0
    assert recommend_for_history(board.fallback, *unknown, ListSettings(k=2))[0].tolist() == [0, 1]


def test_users_are_complete_and_ordered(board: Board) -> None:
    rows = {row["user_idx"]: row for row in board.users.collect()}
    assert sorted(rows) == list(range(19))
    assert rows[4]["history"] == [0, 2, 6, 8, 10, 12, 14]
    assert rows[4]["history_confidence"] is None
    assert rows[16]["vector"] is None
    assert rows[16]["history"] == [1, 3]
    assert rows[16]["history_confidence"] == pytest.approx(np.log1p([2, 1]))
    assert (rows[18]["history"], rows[18]["vector"]) == (None, None)


def test_vectors_of_another_length_are_refused(board: Board, spark: SparkSession) -> None:
    broken = board.users.withColumn("vector", F.expr("slice(vector, 1, 1)"))
    with pytest.raises(Exception, match=r"TrainingError.*different models"):
        recommend(broken, board.scorer, board.fallback, ListSettings(k=1)).count()


def co_occurrence(weights: NDArray[np.float32]) -> Scorer:
    """Return a scorer without vectors: a score is the number of related items in the history."""

    # A class defined in a function is pickled by value, since workers cannot import the tests.
    @dataclass(frozen=True)
    class CoOccurrence:
        weights: NDArray[np.float32]
        fold_in: FoldIn = "forward"

        def encode(self, users: UserBlock) -> Queries:
            history = np.zeros((len(users), len(self.weights)), dtype=np.float32)
            history[users.histories.rows(), users.histories.item_idx] = 1
            rows = np.flatnonzero((history @ self.weights).any(axis=1))
            return Queries(rows, history[rows], np.full(rows.size, Origin.MODEL))

        def score(self, queries: NDArray[np.float32]) -> Scores:
            return Scores(len(queries), [Tile(0, queries @ self.weights)])

    return CoOccurrence(weights)


def test_another_kind_of_model_is_one_class(board: Board) -> None:
    same_colour = np.add.outer(np.arange(N_ITEMS), np.arange(N_ITEMS)) % 2 == 0
    same_colour[SIZE:] = same_colour[:, SIZE:] = False
    scorer = co_occurrence(same_colour.astype(np.float32))
    lists = lists_of(board, ListSettings(k=1), scorer)
    assert {user: items(rows) for user, rows in lists.items() if user < SIZE} == {u: [u] for u in range(SIZE)}
    assert (items(lists[16]), lists[16][0][3]) == ([5], "model")
    assert lists[18][0][3] == "popular"
