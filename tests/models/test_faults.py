"""Unusual data for the factorisations: too many directions, gaps in indexes, constant counts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.core.errors import ConfigError
from recsys_spark.models.als import fit_als
from recsys_spark.models.kind import Fitted
from recsys_spark.models.lsa import Lsa
from recsys_spark.models.settings.als import AlsSettings
from recsys_spark.models.settings.lsa import LsaSettings
from tests.conftest import Workspace

SCHEMA = "user_idx INT, item_idx INT, play_count BIGINT, rating DOUBLE"
Plays = dict[tuple[int, int], int]
Vectors = dict[int, NDArray[np.float64]]


def frame(spark: SparkSession, plays: Plays) -> DataFrame:
    return spark.createDataFrame([(*pair, count, float(count)) for pair, count in plays.items()], SCHEMA)


def vectors(rows: DataFrame | None) -> Vectors:
    assert rows is not None
    return {row[0]: np.array(row["vector"]) for row in rows.collect()}


def als(spark: SparkSession, plays: Plays, **settings: Any) -> tuple[Vectors, Vectors]:
    chosen = AlsSettings.model_validate({"rank": 2, "max_iter": 6, **settings})
    factors = fit_als(frame(spark, plays), chosen, seed=1, parallelism=2)
    return vectors(factors.user_vectors), vectors(factors.item_vectors)


def lsa(spark: SparkSession, folder: Path, plays: Plays, **settings: Any) -> tuple[Vectors, Vectors]:
    fitted = fit_lsa(spark, folder, plays, **settings)
    return vectors(fitted.user_vectors), vectors(fitted.item_vectors)


def fit_lsa(spark: SparkSession, folder: Path, plays: Plays, **settings: Any) -> Fitted:
    """Train on all directions that exist, so that no iteration is needed."""
    folder.mkdir(exist_ok=True)
    chosen = LsaSettings.model_validate({"rank": 2, "iterations": 0, **settings})
    return Lsa(chosen).fit(frame(spark, plays), folder, 1, 2)


def two_tastes(count: int, n: int = 10, stride: int = 1) -> Plays:
    """Return plays of even items by even users and odd items by odd users; indexes are `stride` apart."""
    return {(stride * u, stride * i): count for u in range(n) for i in range(n) if (u + i) % 2 == 0}


def assert_tastes_are_separated(plays: Plays, users: Vectors, items: Vectors) -> None:
    """Check that only users and items with plays have vectors, and played items score highest."""
    assert (set(users), set(items)) == ({u for u, _ in plays}, {i for _, i in plays})
    assert all(np.isfinite(vector).all() and vector.any() for vector in [*users.values(), *items.values()])
    for user, own in users.items():
        scores = {item: float(own @ vector) for item, vector in items.items()}
        played = [score for item, score in scores.items() if (user, item) in plays]
        others = [score for item, score in scores.items() if (user, item) not in plays]
        assert min(played) > max(others) + 0.1 * (max(played) - min(others)), user


@pytest.mark.parametrize(("weighting", "count"), [("linear", 1), ("bm25", 1), ("log", 7), ("tf_idf", 7)])
def test_als_where_all_counts_are_equal(spark: SparkSession, weighting: str, count: int) -> None:
    plays = two_tastes(count)
    assert_tastes_are_separated(plays, *als(spark, plays, weighting=weighting))


@pytest.mark.parametrize(("weighting", "count"), [("linear", 1), ("bm25", 1), ("log", 7), ("tf_idf", 7)])
def test_lsa_where_all_counts_are_equal(spark: SparkSession, tmp_path: Path, weighting: str, count: int) -> None:
    plays = two_tastes(count)
    assert_tastes_are_separated(plays, *lsa(spark, tmp_path, plays, weighting=weighting))


def test_equal_counts_scale_the_items_of_lsa_and_leave_its_users(spark: SparkSession, tmp_path: Path) -> None:
    """Counts of 1 give the weights of `binary`; a larger constant changes lengths only."""
    rng = np.random.default_rng(3)
    pairs = [(u, i) for u in range(12) for i in range(9) if rng.random() < 0.5]
    ones, sevens = dict.fromkeys(pairs, 1), dict.fromkeys(pairs, 7)
    users, items = lsa(spark, tmp_path / "a", ones, weighting="linear")
    for folder, plays, weighting, times in (("b", sevens, "linear", 7), ("c", sevens, "binary", 1)):
        again = lsa(spark, tmp_path / folder, plays, weighting=weighting)
        for user, vector in again[0].items():
            np.testing.assert_allclose(vector, users[user], atol=1e-4)
        for item, vector in again[1].items():
            np.testing.assert_allclose(vector, times * items[item], atol=1e-3 * times)


def test_als_on_ratings_that_are_all_equal(spark: SparkSession) -> None:
    users, items = als(spark, two_tastes(4), implicit=False, reg_param=0.001)
    scores = [float(own @ vector) for own in users.values() for vector in items.values()]
    assert np.isfinite(scores).all()
    assert [float(users[u] @ items[i]) for u, i in two_tastes(4)] == pytest.approx([4] * 50, rel=0.02)


def test_als_with_more_factors_than_users_or_items(spark: SparkSession) -> None:
    """Regularisation makes the solution unique."""
    plays = two_tastes(2, n=6)
    assert_tastes_are_separated(plays, *als(spark, plays, rank=40))


@pytest.mark.parametrize(("n_users", "n_items"), [(3, 9), (9, 3)])
def test_lsa_rank_is_limited_by_the_smaller_side(
    spark: SparkSession, tmp_path: Path, n_users: int, n_items: int
) -> None:
    """The limit is the smaller number of users and items; oversampling may exceed it."""
    plays = {(u, i): 1 + (u * i) % 4 for u in range(n_users) for i in range(n_items)}
    with pytest.raises(ConfigError, match=rf"{n_users} users with {n_items} items .* at most 3"):
        fit_lsa(spark, tmp_path, plays, rank=4, weighting="linear")
    users, items = lsa(spark, tmp_path, plays, rank=3, oversampling=50, weighting="linear")
    for (user, item), count in plays.items():
        assert users[user] @ items[item] == pytest.approx(count, rel=1e-4), "all directions give back everything"


def test_gaps_in_indexes_have_no_vectors(spark: SparkSession, tmp_path: Path) -> None:
    plays = two_tastes(3, n=6, stride=50)
    for users, items in (als(spark, plays), lsa(spark, tmp_path, plays)):
        assert_tastes_are_separated(plays, users, items)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["als", "lsa"])
def test_filtered_users_and_items_are_in_no_output(workspace: Workspace, write: Callable[..., Path], kind: str) -> None:
    """An item with one user and a user with one item keep only their indexes."""
    plays = [f"u{u:02d},i{i:02d},{1 + (u + i) % 3}" for u, i in two_tastes(1)]
    columns = ("--source.columns.play_count", "n", "--source.kind", "totals")
    path = write("plays.csv", "\n".join(["user_id,item_id,n", "aa,aa,5", *plays, ""]))
    workspace.done("ingest_plays", "--source.format", "plays", "--source.path", path, *columns)
    workspace.done("build_interactions", "--interactions.min_user_items", 2, "--interactions.min_item_users", 2)
    assert workspace.table("item_index").count() == workspace.table("user_index").count() == 11
    model = ("--model.kind", kind)
    workspace.done("train_spark_model", *model, f"--models.{kind}.rank", 2)
    workspace.done("build_item_similarity", *model)
    workspace.done(
        "build_recommendations", *model, "--recommendations.top_k", 3, "--recommendations.filter_seen", False
    )
    neighbours = workspace.table("item_similarity").collect()
    assert {row["item_id"] for row in neighbours} == {f"i{n:02d}" for n in range(10)}
    assert not [row for row in neighbours if "aa" in (row["item_id"], row["similar_item_id"])]
    lists = workspace.table("recommendations").collect()
    assert {row["user_id"]: row["origin"] for row in lists} == {
        "aa": "popular",
        **{f"u{n:02d}": "model" for n in range(10)},
    }
    assert not [row for row in lists if row["item_id"] == "aa"]
    for row in lists:
        assert row["user_id"] == "aa" or (int(row["user_id"][1:]) + int(row["item_id"][1:])) % 2 == 0
