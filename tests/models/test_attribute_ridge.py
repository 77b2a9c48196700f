"""Ridge regression on features, compared with the same equations solved in numpy."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from recsys_spark.models import attribute_ridge
from recsys_spark.models.attribute_ridge import fit_attribute_ridge, predicted_vectors
from recsys_spark.ranking.matrix_writer import write_item_arrays
from tests.matrices import MakeMatrix

N_ITEMS, N_FEATURES = 60, 7


@pytest.fixture
def features() -> NDArray[np.float64]:
    random = np.random.default_rng(5)
    drawn = random.random((N_ITEMS, N_FEATURES)) * (random.random((N_ITEMS, N_FEATURES)) < 0.4)
    drawn[0] = 0
    return drawn


def frame_of(spark: SparkSession, features: NDArray[np.float64]) -> DataFrame:
    rows = []
    for item, weights in enumerate(features):
        numbers = np.flatnonzero(weights)
        if numbers.size:
            rows.append((item, numbers.tolist(), weights[numbers].tolist()))
    return spark.createDataFrame(rows, "item_idx INT, numbers ARRAY<INT>, weights ARRAY<DOUBLE>")


def solve_centred(features: NDArray[np.float64], vectors: NDArray[np.float32], reg_param: float) -> NDArray[np.float64]:
    """Solve the same equations on centred data, where the constant is the mean."""
    x, y = features - features.mean(axis=0), vectors - vectors.mean(axis=0, dtype=np.float64)
    weights = np.linalg.solve(x.T @ x + reg_param * np.eye(N_FEATURES), x.T @ y)
    return np.vstack([weights, vectors.mean(axis=0, dtype=np.float64) - features.mean(axis=0) @ weights])


@pytest.mark.parametrize("partitions", [1, 5])
def test_coefficients_do_not_depend_on_partitions(
    spark: SparkSession,
    make_matrix: MakeMatrix,
    tmp_path: Path,
    features: NDArray[np.float64],
    monkeypatch: pytest.MonkeyPatch,
    partitions: int,
) -> None:
    # The driver reads the number for its plan; tasks do not read it.
    monkeypatch.setattr(attribute_ridge, "CHUNK_ITEMS", 16)
    random = np.random.default_rng(6)
    first, second = (random.normal(size=(N_ITEMS, rank)).astype(np.float32) for rank in (3, 2))
    matrices = [make_matrix(first, 13), make_matrix(second)]
    entries = frame_of(spark, features).repartition(partitions)
    found = fit_attribute_ridge(entries, matrices, N_FEATURES, 0.5, tmp_path / "sums")
    some = features.any(axis=1)
    expected = solve_centred(features[some], np.hstack([first, second])[some], 0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    again = fit_attribute_ridge(frame_of(spark, features).repartition(3), matrices, N_FEATURES, 0.5, tmp_path / "sums")
    assert (again == found).all(), "sums depend on how the items are spread"
    assert not (tmp_path / "sums").exists()


def test_predictions_are_products_and_shrink_to_the_mean(
    spark: SparkSession, make_matrix: MakeMatrix, tmp_path: Path, features: NDArray[np.float64]
) -> None:
    vectors = np.random.default_rng(7).normal(size=(N_ITEMS, 4)).astype(np.float32)
    entries, some = frame_of(spark, features), np.flatnonzero(features.any(axis=1))
    for reg_param in (0.1, 1e9):
        solved = fit_attribute_ridge(entries, [make_matrix(vectors)], N_FEATURES, reg_param, tmp_path / "sums")
        folder = tmp_path / f"coefficients-{reg_param}"
        coefficients = write_item_arrays(solved.astype(np.float32), folder, N_FEATURES + 1, 4, 1 << 20)
        found = {row[0]: row[1] for row in predicted_vectors(entries, coefficients).collect()}
        assert sorted(found) == some.tolist()
        expected = features[some] @ solved[:-1] + solved[-1]
        np.testing.assert_allclose([found[item] for item in some], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(solved[-1], vectors[some].mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(solved[:-1], 0, atol=1e-6)
