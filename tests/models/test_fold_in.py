"""Vectors by fold-in, compared with MLlib's and with one solution a user in numpy."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config.weighting import Weighting
from recsys_spark.models import fold_in
from recsys_spark.models.als import als_observations, fit_als
from recsys_spark.models.block_als.objective import Objective
from recsys_spark.models.fold_in import fold_in_explicit, fold_in_implicit
from recsys_spark.models.settings.als import AlsSettings

Array = NDArray[np.float32]

IMPLICIT, EXPLICIT = (Objective(0.1, 2.0, implicit) for implicit in (True, False))


def as_array(vectors: DataFrame, key: str) -> Array:
    rows = vectors.orderBy(key).collect()
    assert [row[key] for row in rows] == list(range(len(rows)))
    return np.array([row["vector"] for row in rows], dtype=np.float32)


@pytest.fixture(scope="module")
def interactions(spark: SparkSession) -> DataFrame:
    """Return 60 users by 40 items with counts from 1 to 50; a third of the pairs have no rating."""
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((60, 40)) < 0.2)
    plays = np.exp(rng.uniform(0, 4, users.size)).astype(int)
    ratings = np.where(np.arange(users.size) % 3, rng.integers(1, 6, users.size).astype(float), np.nan)
    rows = [
        (int(u), int(i), int(p), None if np.isnan(r) else float(r))
        for u, i, p, r in zip(users, items, plays, ratings, strict=True)
    ]
    return spark.createDataFrame(rows, "user_idx INT, item_idx INT, play_count BIGINT, rating DOUBLE")


@pytest.mark.parametrize("weighting", ["linear", "log", "bm25"])
@pytest.mark.parametrize("implicit", [True, False])
def test_equals_the_vectors_of_training(interactions: DataFrame, weighting: Weighting, implicit: bool) -> None:
    settings = AlsSettings(
        rank=7, max_iter=3, reg_param=0.1, alpha=3.0, implicit=implicit, weighting=weighting, bm25_k1=2.0
    )
    factors = fit_als(interactions, settings, seed=3, parallelism=2)
    trained, items = as_array(factors.user_vectors, "user_idx"), as_array(factors.item_vectors, "item_idx")
    rows = als_observations(interactions, settings).orderBy("user_idx", "item_idx").collect()
    indices = np.array([row["item_idx"] for row in rows])
    confidence = np.array([np.nan if row["confidence"] is None else row["confidence"] for row in rows])
    indptr = np.searchsorted([row["user_idx"] for row in rows], np.arange(61))
    objective = Objective.of(settings.model_dump())
    if implicit:
        folded = fold_in_implicit(items, items.T @ items, indptr, indices, confidence, objective, 40)
    else:
        folded = fold_in_explicit(items, indptr, indices, confidence, objective)
    difference = np.linalg.norm(folded - trained, axis=1) / np.linalg.norm(trained, axis=1)
    assert difference.max() < 1e-4


def ragged(rng: np.random.Generator, n_items: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return histories of very different lengths, with empty ones first, between and last."""
    lengths = [0, 3, 1, 0, 30, 2, 2, 12, 1, 0]
    chosen = [rng.choice(n_items, length, replace=False) for length in lengths]
    return np.concatenate(([0], np.cumsum(lengths))), np.concatenate(chosen)


@pytest.mark.parametrize("batch_bytes", [1, 1 << 14, 64 << 20])
def test_batches_equal_one_solve_a_user(monkeypatch: pytest.MonkeyPatch, batch_bytes: int) -> None:
    """Entries include a negative and a zero confidence."""
    monkeypatch.setattr(fold_in, "BATCH_BYTES", batch_bytes)
    rng = np.random.default_rng(1)
    items = rng.normal(size=(40, 5)).astype(np.float32)
    gram = items.T @ items
    indptr, indices = ragged(rng, 40)
    confidence = rng.choice([-2.0, 0.0, 0.5, 3.0], indices.size)
    actual = fold_in_implicit(items, gram, indptr, indices, confidence, Objective(0.2, 4.0, implicit=True), 40)
    assert actual.dtype == np.float32
    for user in range(len(indptr) - 1):
        entries = range(indptr[user], indptr[user + 1])
        system, right = gram.astype(np.float64), np.zeros(5)
        for entry in entries:
            y, r = items[indices[entry]].astype(np.float64), confidence[entry]
            system = system + 4 * abs(r) * np.outer(y, y) + (0.2 * np.eye(5) if r > 0 else 0)
            right += (1 + 4 * r) * y if r > 0 else 0
        np.testing.assert_allclose(actual[user], np.linalg.solve(system, right), rtol=1e-4, atol=1e-6)


def test_invalid_entries_are_ignored() -> None:
    """Items outside the matrix, zero vectors and missing confidences do not count.

    The regularisation does not count them either.
    """
    items = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    items[4] = 0
    gram = items.T @ items
    noisy = np.array([2, 99, 0, 4, -1, 5]), np.array([1.0, 7.0, 2.0, 7.0, 7.0, np.nan])
    clean = np.array([2, 0]), np.array([1.0, 2.0])
    for args in ((noisy, 6), (clean, 2)):
        (indices, values), n = args
        implicit = fold_in_implicit(items, gram, np.array([0, n]), indices, values, IMPLICIT, 6)
        explicit = fold_in_explicit(items, np.array([0, n]), indices, values, EXPLICIT)
        if n == 6:
            with_noise = implicit, explicit
    np.testing.assert_array_equal(with_noise, (implicit, explicit))


def test_history_without_valid_entries_has_a_zero_vector() -> None:
    items = np.ones((3, 2), dtype=np.float32)
    indptr, indices, values = np.array([0, 0, 2]), np.array([7, 8]), np.ones(2)
    assert not fold_in_implicit(items, items.T @ items, indptr, indices, values, IMPLICIT, 3).any()
    assert not fold_in_explicit(items, indptr, indices, values, EXPLICIT).any()
    assert fold_in_implicit(items, items.T @ items, np.array([0]), indices[:0], values[:0], IMPLICIT, 3).shape == (0, 2)
