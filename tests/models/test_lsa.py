"""LSA compared with the SVD of LAPACK and scikit-learn, and on planted tastes."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from sklearn.decomposition import PCA, TruncatedSVD

from recsys_spark.core.errors import ConfigError, TrainingError
from recsys_spark.models import lsa, user_blocks
from recsys_spark.models.kind import Fitted
from recsys_spark.models.lsa import Lsa
from recsys_spark.models.popularity import PopularityScorer
from recsys_spark.models.settings.lsa import LsaSettings
from recsys_spark.ranking.dot_scorer import DotScorer
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import Histories, Origin, UserBlock
from recsys_spark.recommend.recommendations import ListSettings, recommend, recommendation_users
from recsys_spark.recommend.similarity import item_similarity
from tests.matrices import MakeMatrix

SCHEMA = "user_idx INT, item_idx INT, play_count BIGINT"
Floats = NDArray[np.float64]


def random_plays(n_users: int = 70, n_items: int = 40, seed: int = 0) -> Floats:
    """Return counts with a long tail; items 7 and 23 and user 5 have none."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(0.05, 0.6, n_items)
    plays = rng.geometric(0.2, (n_users, n_items)) * (rng.random((n_users, n_items)) < share)
    plays[:, [7, 23]] = plays[5] = 0
    return plays.astype(np.float64)


def interactions_of(spark: SparkSession, plays: Floats) -> DataFrame:
    users, items = np.nonzero(plays)
    rows = [(int(u), int(i), int(plays[u, i])) for u, i in zip(users, items, strict=True)]
    return spark.createDataFrame(rows, SCHEMA)


def fit(interactions: DataFrame, folder: Path, seed: int = 1, parallelism: int = 2, **settings: Any) -> Fitted:
    kind = Lsa(LsaSettings.model_validate({"weighting": "linear", "rank": 6, **settings}))
    folder.mkdir(exist_ok=True)
    return kind.fit(interactions, folder, seed, parallelism)


def vectors(frame: DataFrame | None, n: int) -> Floats:
    """Return the vectors as (n, k), zero where there is no row."""
    assert frame is not None
    rows = {row[0]: row["vector"] for row in frame.collect()}
    found = np.zeros((n, len(next(iter(rows.values())))))
    for number, vector in rows.items():
        found[number] = vector
    return found


def both(fitted: Fitted, plays: Floats) -> tuple[Floats, Floats]:
    return vectors(fitted.user_vectors, plays.shape[0]), vectors(fitted.item_vectors, plays.shape[1])


def block(*items: list[int], weight: float = 1.0) -> UserBlock:
    flat = np.array([item for history in items for item in history], dtype=np.int32)
    return UserBlock(None, Histories(np.cumsum([0, *map(len, items)]), flat, np.full(flat.size, weight, np.float32)))


@pytest.mark.parametrize(("rank", "iterations"), [(1, 12), (6, 40), (38, 0)])
def test_best_approximation_of_its_rank_equals_lapack(
    spark: SparkSession, tmp_path: Path, rank: int, iterations: int
) -> None:
    """A random matrix has a flat spectrum, so few directions need many iterations; all directions need none."""
    plays = random_plays()
    users, items = both(fit(interactions_of(spark, plays), tmp_path, rank=rank, iterations=iterations), plays)
    left, values, right = np.linalg.svd(plays)
    left, values, right = left[:, :rank], values[:rank], right[:rank]
    np.testing.assert_allclose(np.linalg.norm(items, axis=0), values, rtol=1e-5)
    np.testing.assert_allclose(users @ items.T, left * values @ right, atol=2e-4 * values[0])
    np.testing.assert_allclose(np.abs(np.sum(users * left, axis=0)), 1, atol=1e-3)
    np.testing.assert_allclose(users.T @ users, np.eye(rank), atol=1e-3)
    assert (items[np.argmax(np.abs(items), axis=0), np.arange(rank)] > 0).all()


def test_equals_scikit_learn(spark: SparkSession, tmp_path: Path) -> None:
    plays = random_plays(seed=3)
    fitted = fit(interactions_of(spark, plays), tmp_path, iterations=40)
    users, items = both(fitted, plays)
    theirs = TruncatedSVD(6, algorithm="arpack").fit(plays)
    np.testing.assert_allclose(np.linalg.norm(items, axis=0), theirs.singular_values_, rtol=1e-5)
    np.testing.assert_allclose(users @ items.T, theirs.inverse_transform(theirs.transform(plays)), atol=0.02)
    explained = 100 * (theirs.singular_values_**2).sum() / (plays**2).sum()
    assert fitted.metrics == pytest.approx({"observations": np.count_nonzero(plays), "explained_percent": explained})


def test_centred_lsa_is_pca_with_means_in_the_scores(spark: SparkSession, tmp_path: Path) -> None:
    """Means are over users with plays; cosines of items leave them out."""
    plays = random_plays(seed=4)
    fitted = fit(interactions_of(spark, plays), tmp_path, center=True, iterations=40)
    users, items = both(fitted, plays)
    present = np.delete(plays, 5, axis=0)
    theirs = PCA(6, svd_solver="full").fit(present)
    np.testing.assert_allclose(items[:, 6], theirs.mean_, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(items[:, :6], axis=0), theirs.singular_values_, rtol=1e-5)
    expected = theirs.inverse_transform(theirs.transform(present))
    np.testing.assert_allclose(np.delete(users, 5, axis=0) @ items.T, expected, atol=0.02)
    assert not users[5].any() and (np.delete(users, 5, axis=0)[:, 6] == 1).all()
    assert fitted.metrics["explained_percent"] == pytest.approx(100 * theirs.explained_variance_ratio_.sum())
    np.testing.assert_array_equal(ItemMatrix.open(tmp_path / "item_vectors").rows(np.arange(40)), items[:, :6])


@pytest.mark.parametrize(("center", "weighting"), [(False, "bm25"), (True, "tf_idf"), (False, "log")])
def test_fold_in_of_a_training_history_is_its_vector(
    spark: SparkSession, tmp_path: Path, center: bool, weighting: str
) -> None:
    """Weights come from the statistics that training wrote."""
    plays = random_plays()
    interactions = interactions_of(spark, plays)
    fitted = fit(interactions, tmp_path, center=center, weighting=weighting)
    users = vectors(fitted.user_vectors, len(plays))
    kind = Lsa(LsaSettings.model_validate({"rank": 6, "center": center, "weighting": weighting}))
    again = kind.with_confidence(interactions.where("user_idx = 9"), tmp_path).orderBy("item_idx").collect()
    items, weights = (np.array([row[name] for row in again]) for name in ("item_idx", "confidence"))
    history = Histories(np.array([0, items.size]), items.astype(np.int32), weights.astype(np.float32))
    assert isinstance(fitted.matrix, ItemMatrix)
    scorer = kind.scorer(fitted.matrix)
    found = scorer.encode(UserBlock(None, history))
    np.testing.assert_allclose(found.values[0], users[9], rtol=1e-5)
    assert (scorer.fold_in, found.origins.tolist()) == ("solve", [Origin.FOLD_IN])
    assert {path.name for path in tmp_path.iterdir()} <= {"items", "item_vectors", "bm25.json", "bm25_idf"}


def test_only_items_of_the_model_count_in_a_history(spark: SparkSession, tmp_path: Path) -> None:
    plays = random_plays()
    for center in (False, True):
        matrix = fit(interactions_of(spark, plays), tmp_path / str(center), center=center).matrix
        assert isinstance(matrix, ItemMatrix)
        scorer = Lsa(LsaSettings(center=center)).scorer(matrix)
        queries = scorer.encode(block([], [3, 9], [-1, 40, 7], [3, 7, 9, 999], [40]))
        assert queries.rows.tolist() == [1, 3]
        np.testing.assert_array_equal(queries.values[0], queries.values[1])
        unweighted = scorer.encode(block([3, 9], weight=np.nan))
        assert unweighted.rows.size == 0


def test_items_without_plays_and_users_without_any_have_no_row(spark: SparkSession, tmp_path: Path) -> None:
    fitted = fit(interactions_of(spark, random_plays()), tmp_path)
    assert fitted.user_vectors is not None and fitted.item_vectors is not None
    assert {row[0] for row in fitted.user_vectors.collect()} == set(range(70)) - {5}
    assert {row[0] for row in fitted.item_vectors.collect()} == set(range(40)) - {7, 23}
    assert fitted.user_vectors.dtypes == [("user_idx", "int"), ("vector", "array<float>")]
    assert fitted.item_vectors.dtypes == [("item_idx", "int"), ("vector", "array<float>")]


@pytest.mark.parametrize("center", [False, True])
def test_equal_seeds_give_equal_vectors_for_any_partitions(spark: SparkSession, tmp_path: Path, center: bool) -> None:
    """With few iterations, another seed gives other vectors."""
    plays = random_plays(seed=2)
    interactions = interactions_of(spark, plays)
    flags: dict[str, Any] = {"center": center, "iterations": 0, "oversampling": 0}
    first = both(fit(interactions, tmp_path / "a", parallelism=1, **flags), plays)
    again = both(fit(interactions.repartition(7), tmp_path / "b", parallelism=3, **flags), plays)
    other = both(fit(interactions, tmp_path / "c", seed=2, **flags), plays)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(a).max())
    assert np.abs(first[1] - other[1]).max() > 0.1


def checkerboard(n: int = 20) -> Floats:
    """Return plays of even items by even users and odd by odd.

    The item of the user's own index is withheld.
    """
    plays = (np.add.outer(np.arange(n), np.arange(n)) % 2 == 0).astype(np.float64)
    np.fill_diagonal(plays, 0)
    return plays


def test_two_tastes_are_two_directions_and_the_withheld_item_comes_first(
    spark: SparkSession, tmp_path: Path, make_matrix: MakeMatrix
) -> None:
    interactions = interactions_of(spark, checkerboard())
    fitted = fit(interactions, tmp_path, rank=2, weighting="bm25")
    assert isinstance(fitted.matrix, ItemMatrix)
    index = spark.createDataFrame([(f"u{u}", u) for u in range(21)], "user_id STRING, user_idx INT")
    users = recommendation_users(index, fitted.user_vectors, interactions.selectExpr("*", "1F AS confidence"))
    fallback = PopularityScorer(make_matrix(np.arange(1, 21, dtype=np.float32)[:, None]))
    lists = recommend(users, DotScorer(fitted.matrix), fallback, ListSettings(k=1)).collect()
    assert {row["user_idx"]: row["item_idx"] for row in lists} == {u: u for u in range(20)} | {20: 19}
    nearest = item_similarity(spark, fitted.matrix, 9, 2).collect()
    assert {(row["item_idx"] - row["similar_item_idx"]) % 2 for row in nearest} == {0}


def test_directions_beyond_the_rank_are_zero(spark: SparkSession, tmp_path: Path) -> None:
    """The matrix has rank one: every count is the product of a value of the user and one of the item."""
    plays = np.outer(np.arange(1, 13), np.arange(1, 11)).astype(np.float64)
    fitted = fit(interactions_of(spark, plays), tmp_path, rank=4)
    users, items = both(fitted, plays)
    np.testing.assert_allclose(users @ items.T, plays, rtol=1e-5)
    assert not users[:, 1:].any() and not items[:, 1:].any()
    assert fitted.metrics["explained_percent"] == pytest.approx(100)


def test_constant_matrix(spark: SparkSession, tmp_path: Path) -> None:
    plays = np.full((6, 5), 3.0)
    interactions = interactions_of(spark, plays)
    users, items = both(fit(interactions, tmp_path / "plain", rank=2), plays)
    np.testing.assert_allclose(users @ items.T, plays, rtol=1e-5)
    with pytest.raises(TrainingError, match=r"models\.lsa\.center to false"):
        fit(interactions, tmp_path / "centred", rank=2, center=True)


@pytest.mark.parametrize("plays", [np.ones((1, 1)), np.full((1, 4), 2.0), np.full((4, 1), 2.0)])
def test_one_user_or_one_item(spark: SparkSession, tmp_path: Path, plays: Floats) -> None:
    users, items = both(fit(interactions_of(spark, plays), tmp_path, rank=1, weighting="bm25"), plays)
    assert (users @ items.T > 0).all()


def test_error_on_rank_names_the_largest_possible_one(spark: SparkSession, tmp_path: Path) -> None:
    """Only 38 items have plays."""
    with pytest.raises(ConfigError, match=r"models\.lsa\.rank = 40, but 69 users with 38 items .* at most 38"):
        fit(interactions_of(spark, random_plays()), tmp_path, rank=40)
    assert list(tmp_path.iterdir()) == []


def test_too_large_matrix_is_refused_before_any_job(spark: SparkSession, tmp_path: Path) -> None:
    interactions = interactions_of(spark, random_plays())
    size = 8 * 40 * (6 + 10)
    with pytest.raises(ConfigError, match=r"above models\.lsa\.max_matrix_bytes = 5,119"):
        fit(interactions, tmp_path, max_matrix_bytes=size - 1)
    assert fit(interactions, tmp_path, max_matrix_bytes=size).metrics["observations"] > 0


def test_files_of_a_pass_are_limited_by_fewer_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lsa, "MAX_PASS_BYTES", 3 * 8 * 1000 * 60)
    kind = Lsa(LsaSettings())
    assert [kind._n_tasks(n, 5) for n in (0, 100, 1000, 1001, 10_000)] == [5, 5, 3, 2, 1]


@pytest.mark.parametrize("rows", [[], [(0, 0, 0), (1, 3, 0)]])
def test_nothing_to_train_on(spark: SparkSession, tmp_path: Path, rows: list[tuple[int, int, int]]) -> None:
    """There are no rows, or only weights of zero."""
    with pytest.raises(TrainingError, match="build_interactions"):
        fit(spark.createDataFrame(rows, SCHEMA), tmp_path)


def test_cached_frames_are_unpersisted(spark: SparkSession, tmp_path: Path) -> None:
    interactions = interactions_of(spark, random_plays())
    fitted = fit(interactions, tmp_path / "a")
    (blocks,) = fitted.cached
    assert blocks.is_cached and blocks.count() > 0
    for frame in fitted.cached:
        frame.unpersist()
    assert vectors(fitted.user_vectors, 70).any(), "and is made again where it is needed after all"


def test_blocks_have_whole_users_for_any_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_blocks, "BLOCK_PAIRS", 64)
    plays = random_plays()
    users, items = np.nonzero(plays)
    columns = (users.astype(np.int32), items.astype(np.int32), plays[users, items].astype(np.float32))
    pairs = pa.RecordBatch.from_arrays([*map(pa.array, columns)], ["user_idx", "item_idx", "confidence"])
    for size in (7, 64, 10_000):
        batches = [pairs.slice(start, size) for start in range(0, len(users), size)]
        found = list(user_blocks.csr_blocks(iter(list(user_blocks._to_blocks(batches)))))
        assert len(found) > (1 if size == 10_000 else 5)
        again = np.zeros_like(plays)
        for numbers, histories in found:
            assert (np.diff(histories.indptr) > 0).all() and not again[numbers].any()
            again[numbers[histories.rows()], histories.item_idx] = histories.confidence
        np.testing.assert_array_equal(again, plays)
    assert list(user_blocks._to_blocks([])) == []
