"""Nearest items by shared users, compared with whole matrices in numpy."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from recsys_spark.config.similarity import SimilaritySettings
from recsys_spark.ranking.pair_products import BlockSums
from recsys_spark.recommend.shared_users import block_similarity, nearest_by_users, with_weight, write_scales
from tests.conftest import Workspace

N_USERS, N_ITEMS = 60, 24
CASES = [("cosine", 0.0), ("cosine", 5.0), ("bm25", 0.0), ("tf_idf", 0.0), ("random_walk", 0.0), ("random_walk", 2.0)]


def similarities(plays: NDArray[np.int64], settings: SimilaritySettings) -> NDArray[np.float64]:
    """Return the similarity of all pairs of items by its definition; zero for items without a shared user."""
    played = plays > 0
    lengths = played.sum(axis=1, keepdims=True)
    weights = played.astype(float)
    if settings.method == "tf_idf":
        weights = np.sqrt(plays) * np.log1p(played.any(axis=0).sum() / np.maximum(lengths, 1))
    if settings.method == "bm25":
        # k1 = 100 and b = 0.8; the idf of an item scales its row, which a cosine does not see.
        of_user = plays.sum(axis=1, keepdims=True)
        norm = 1 - 0.8 + 0.8 * of_user / of_user[of_user > 0].mean()
        weights = plays * 101 / (100 * norm + plays)
    shared = (played.T.astype(float) @ played) / (played.T.astype(float) @ played + settings.shrinkage + 1e-300)
    if settings.method == "random_walk":
        steps = (played / np.maximum(lengths, 1)).T.astype(float) @ played
        users = np.maximum(played.sum(axis=0), 1)
        return shared * steps / users[:, None] / users**settings.popularity_exponent
    norms = np.maximum(np.linalg.norm(weights, axis=0), 1e-300)
    return shared * (weights.T @ weights) / norms[:, None] / norms


@pytest.fixture
def plays() -> NDArray[np.int64]:
    """Return play counts, (users, items): popular and rare items, a pair of equal items, one item without plays."""
    rng = np.random.default_rng(3)
    plays = rng.integers(1, 6, (N_USERS, N_ITEMS)) * (rng.random((N_USERS, N_ITEMS)) < np.linspace(0.7, 0.03, N_ITEMS))
    plays[:, 7] = plays[:, 6]
    plays[:, 20] = 0
    return plays


def test_similarity_of_a_case_by_hand() -> None:
    """Item 0 shares two users with item 1 and none with item 2; scales are those of a row of 4 and of 9 users."""
    block = BlockSums(0, np.array([[4.0, 2.0, 0.0]]), np.array([[4, 2, 0]], dtype=np.int32))
    scales = np.array([[1 / 2, 1 / 2], [1 / 3, 1 / 3], [1, 1]], dtype=np.float32)
    found = block_similarity(block, scales, shrinkage=3.0)
    assert found.tolist() == [[-np.inf, pytest.approx(2 / 6 * 2 / 5), -np.inf]]


@pytest.mark.parametrize(("method", "shrinkage"), CASES)
def test_lists_are_those_of_the_whole_matrix(
    spark: SparkSession, plays: NDArray[np.int64], tmp_path: Path, method: str, shrinkage: float
) -> None:
    settings = SimilaritySettings.model_validate(
        {"method": method, "shrinkage": shrinkage, "popularity_exponent": 0.3, "neighbours": 6}
    )
    rows = [(int(u), int(i), int(plays[u, i])) for u, i in zip(*np.nonzero(plays), strict=True)]
    pairs = spark.createDataFrame(rows, "user_idx INT, item_idx INT, play_count BIGINT").repartition(3)
    weighted = with_weight(pairs, settings)
    scales = write_scales(weighted, settings, tmp_path / "scales", N_ITEMS, 1 << 20)
    nearest = nearest_by_users(weighted, scales, settings.neighbours, settings.shrinkage, 3)
    found: dict[int, list[tuple[int, float]]] = {}
    for row in nearest.orderBy("item_idx", "position").collect():
        found.setdefault(row["item_idx"], []).append((row["similar_item_idx"], row["similarity"]))
        assert row["position"] == len(found[row["item_idx"]])
    expected = similarities(plays, settings)
    np.fill_diagonal(expected, 0)
    assert 20 not in found and found.keys() == set(np.flatnonzero(expected.any(axis=1)))
    for item, near in found.items():
        others = [other for other, _ in near]
        assert len(near) == min(6, np.count_nonzero(expected[item])) and len(set(others)) == len(others)
        np.testing.assert_allclose([value for _, value in near], expected[item, others], rtol=1e-5)
        np.testing.assert_allclose(expected[item, others], np.sort(expected[item])[::-1][: len(near)], rtol=1e-5)


@pytest.fixture
def built(workspace: Workspace, write: Callable[..., Path], plays: NDArray[np.int64]) -> Workspace:
    rows = [f"u{u:02d},i{i:02d},4,{1_700_000_000 + u}" for u, i in zip(*np.nonzero(plays), strict=True)]
    path = write("plays.csv", "\n".join(["user_id,item_id,rating,played_at", *rows, ""]))
    workspace.ingest_ratings(path)
    return workspace


def test_job_writes_a_version_of_its_own(built: Workspace) -> None:
    """All interactions and the training part of a split give two versions; a second run changes nothing."""
    flags = ("--similarity.method", "random_walk", "--similarity.neighbours", 3)
    split = ("--split.protocol", "per_user_random")
    whole = built.done("build_item_similarity", *flags)
    built.done("split_interactions", *split)
    part = built.done("build_item_similarity", *flags, *split)
    models = {row["model_version"]: row for row in built.table("models").collect()}
    first, second = whole.summary["model_version"], part.summary["model_version"]
    assert set(models) == {first, second} and models[first]["split_id"] is None
    assert models[second]["split_id"].startswith("per_user_random-") and models[first]["algorithm"] == "item_knn"
    settings = json.loads(models[first]["params"])["settings"]
    assert settings["method"] == "random_walk" and settings["popularity_exponent"] == 0.4
    rows = built.table("item_similarity").where(f"model_version = '{first}'")
    assert rows.count() == whole.rows["similar_items"] > 0
    assert {row["algorithm"] for row in rows.select("algorithm").distinct().collect()} == {"item_knn"}
    before = built.versions()
    built.done("build_item_similarity", *flags)
    assert built.versions() == before
    # A run that was killed between its two commits left no row in models.
    built.tables().delete("models", "model_version", first)
    built.done("build_item_similarity", *flags)
    assert built.versions()["item_similarity"] == before["item_similarity"] and built.table("models").count() == 2
    lists = built.run("build_recommendations", "--model.version", first)
    assert lists.code == 2 and "scores no users" in lists.stderr
    missing = built.run("evaluate", *split, "--evaluation.models", "ease")
    assert missing.code == 4, "lists of similar items are not evaluated as models"
    built.done("publish_model", "--model.kind", "item_knn")
    serves = {row["model_version"]: row["serves"] for row in built.table("models").collect()}
    assert serves[first] == ["item_similarity"] and serves[second] == [], "the newest version is published"
