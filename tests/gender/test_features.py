"""Features and the linear classifier of them, against scikit-learn and MLlib."""

import hashlib
import hmac
from pathlib import Path

import numpy as np
import pytest
from pyspark.ml.classification import LogisticRegression
from pyspark.sql import SparkSession
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer

from recsys_spark.gender.array_fit import read_training_rows
from recsys_spark.gender.classifier import composed
from recsys_spark.gender.feature_arrays import Codes, Features, TfIdf
from recsys_spark.gender.features import feature_frame, feature_numbers
from recsys_spark.gender.mllib_fit import _fit_calibration, _logits, _margins
from recsys_spark.gender.suppressions import user_hash
from recsys_spark.ranking.dot_scorer import DotScorer
from recsys_spark.ranking.matrix_writer import write_item_arrays
from recsys_spark.ranking.scorer import Histories, UserBlock

USERS = "user_idx INT, vector ARRAY<FLOAT>, history ARRAY<INT>, history_confidence ARRAY<FLOAT>, label DOUBLE, fold INT"


def some_features(folder: Path, n_items: int = 12) -> tuple[Features, np.ndarray]:
    generator = np.random.default_rng(0)
    plays = generator.random((40, n_items)) < 0.4
    plays[:, 0] = False
    transformer = TfidfTransformer().fit(plays.astype(float))
    idf = np.where(plays.any(axis=0), transformer.idf_, 0).astype(np.float32)[:, None]
    matrix = write_item_arrays(idf, folder / "idf", n_items, 1, 1 << 20)
    items = write_item_arrays(
        generator.normal(size=(n_items, 3)).astype(np.float32), folder / "items", n_items, 3, 1 << 20
    )
    codes = Codes(DotScorer(items), np.array([0.5, 0.0, -1.0]), np.array([1.0, 2.0, 0.0]))
    return Features(items, codes, TfIdf(matrix)), plays


def block_of(plays: np.ndarray, vectors: np.ndarray | None = None) -> UserBlock:
    indptr = np.concatenate(([0], np.cumsum(plays.sum(axis=1))))
    item_idx = np.concatenate([np.flatnonzero(row)[::-1] for row in plays]).astype(np.int32)
    return UserBlock(vectors, Histories(indptr, item_idx, np.ones(item_idx.size, np.float32)))


def test_tf_idf_equals_that_of_scikit_learn(tmp_path: Path):
    features, plays = some_features(tmp_path)
    rows = features.rows(block_of(plays))
    dense = np.zeros(plays.shape)
    dense[np.repeat(np.arange(40), np.diff(rows.indptr)), rows.indices] = rows.values
    assert np.allclose(dense, TfidfTransformer().fit(plays.astype(float)).transform(plays).toarray(), atol=1e-6)
    # Without vectors and a fold-in, a user has the mean.
    assert not rows.codes.any()
    assert rows.known_items.tolist() == plays.sum(axis=1).tolist()


def test_vectors_are_those_that_mllib_reads(tmp_path: Path, spark: SparkSession):
    features, plays = some_features(tmp_path)
    vectors = np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)
    users = spark.createDataFrame(
        [
            (user, vectors[user].tolist(), np.flatnonzero(row)[::-1].tolist(), None, float(user % 2), user % 3)
            for user, row in enumerate(plays)
        ],
        USERS,
    )
    frame = feature_frame(users, features).orderBy("user_idx")
    rows = features.rows(block_of(plays, vectors))
    assert np.allclose(rows.codes, (vectors - [0.5, 0.0, -1.0]) * [1.0, 2.0, 0.0])
    expected = np.zeros((40, features.width))
    expected[:, :3] = rows.codes
    expected[np.repeat(np.arange(40), np.diff(rows.indptr)), 3 + rows.indices] = rows.values
    assert np.allclose([row["features"].toArray() for row in frame.collect()], expected)
    read = read_training_rows(feature_frame(users, features, as_vectors=False), features.width)
    assert isinstance(read.features, csr_matrix) and np.allclose(read.features.toarray(), expected)
    assert read.labels.tolist() == [user % 2 for user in range(40)] and read.folds.tolist() == [
        u % 3 for u in range(40)
    ]
    dense = Features(features.item_matrix, features.codes, None)
    frame = feature_frame(users, dense).orderBy("user_idx")
    assert np.allclose([row["features"].toArray() for row in frame.collect()], expected[:, :3])
    codes = read_training_rows(feature_frame(users, dense, as_vectors=False), dense.width).features
    assert isinstance(codes, np.ndarray) and np.allclose(codes, expected[:, :3])
    assert feature_numbers(users, dense) == 40 * 3 and feature_numbers(users, features) == 40 * 3 + plays.sum()


@pytest.mark.parametrize("n_labels", [2, 3])
def test_the_composed_weights_predict_what_mllib_predicts(n_labels: int, tmp_path: Path, spark: SparkSession):
    features, plays = some_features(tmp_path)
    vectors = np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)
    users = spark.createDataFrame(
        [
            (user, vectors[user].tolist(), np.flatnonzero(row).tolist(), None, float(user % n_labels), 0)
            for user, row in enumerate(plays)
        ],
        USERS,
    )
    frame = feature_frame(users, features)
    model = LogisticRegression(regParam=0.01).fit(frame)
    calibration = _fit_calibration(model.transform(frame).select("label", "rawPrediction"))
    linear = composed(_margins(model), _logits(calibration))
    theirs = calibration.transform(model.transform(frame)).select("features", "calibrated").collect()
    logits = np.array([row["features"].toArray() for row in theirs]) @ linear.matrix.T + linear.bias
    ours = np.exp(logits - logits.max(axis=1, keepdims=True))
    ours /= ours.sum(axis=1, keepdims=True)
    assert np.allclose(ours, [row["calibrated"].toArray() for row in theirs], atol=1e-9)


def test_hashes_of_users_are_hmacs(spark: SparkSession):
    ids = ["", "plain", "ユーザー", "x" * 1000]
    for key in ("short key of tests", "long " * 30):
        frame = spark.createDataFrame([(name,) for name in ids], "user_id STRING")
        found = [row[0] for row in frame.select(user_hash(key)("user_id")).collect()]
        assert found == [hmac.new(key.encode(), name.encode(), hashlib.sha256).hexdigest() for name in ids]
