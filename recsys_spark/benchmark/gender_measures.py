"""Measures of gender prediction and training."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegressionCV

from recsys_spark.benchmark.comparison import Bench, Comparison, take_turns, timed
from recsys_spark.config.gender import GenderSettings
from recsys_spark.gender.classifier_fit import fit_classifier
from recsys_spark.gender.feature_arrays import Codes, Features
from recsys_spark.gender.features import feature_frame
from recsys_spark.gender.labelled_users import assign_folds
from recsys_spark.gender.linear_model import LinearModel
from recsys_spark.gender.prediction import predict_probabilities
from recsys_spark.ranking.dot_scorer import DotScorer
from recsys_spark.ranking.matrix_writer import write_item_arrays

__all__ = ["gender_prediction", "gender_training"]

FULL_USERS, FULL_ITEMS, RANK, PLAYS = 360_000, 160_000, 64, 49
LABELS = ("f", "m")
ROWS_A_FILE = 20_000


def gender_prediction(bench: Bench) -> Comparison:
    """Compare prediction from a table of vectors and histories with its unavoidable parts.

    The reference is Spark reading the same table, numpy's product and softmax of vectors in memory, and Spark writing
    the same result.
    """
    n_users = max(1000, round(FULL_USERS * bench.scale))
    folder = bench.folder / "users"
    features = _write_users(bench, folder, n_users)
    weights = np.random.default_rng(bench.seed).normal(size=(2, RANK))
    model = LinearModel(LABELS, features, weights, None, np.zeros(2))
    users = bench.spark.read.parquet(str(folder))

    def ours() -> None:
        predict_probabilities(users, model, ("user_id",)).write.mode("overwrite").parquet(
            str(bench.folder / "predicted")
        )

    vectors = pq.read_table(folder, columns=["vector"])["vector"].combine_chunks().flatten().to_numpy()
    ours()
    shutil.copytree(bench.folder / "predicted", bench.folder / "result", dirs_exist_ok=True)

    def reference() -> None:
        users.write.format("noop").mode("overwrite").save()
        _softmax(vectors.reshape(-1, RANK) @ weights.T)
        result = bench.spark.read.parquet(str(bench.folder / "result"))
        result.write.mode("overwrite").parquet(str(bench.folder / "reference"))

    ours_seconds, reference_seconds = take_turns(bench.repeats, timed(ours), timed(reference))
    size = f"{n_users} users, vectors of {RANK}, {PLAYS} plays each of {FULL_ITEMS} items"
    more = {"threads": bench.threads or 2}
    return Comparison(
        "gender_prediction",
        size,
        ours_seconds,
        "Spark's reading and writing, and numpy",
        reference_seconds,
        "<= 2",
        more,
    )


def gender_training(bench: Bench) -> Comparison:
    """Compare the fit of the classifier with scikit-learn's LogisticRegressionCV.

    The fit includes the choice of the regularisation and the calibration. The reference has the same features in
    memory, and as many folds and values.
    """
    n_users = max(400, round(60_000 * bench.scale))
    folder = bench.folder / "training_users"
    features = _write_users(bench, folder, n_users)
    settings = GenderSettings()  # type: ignore[call-arg]
    users = assign_folds(bench.spark.read.parquet(str(folder)), settings.inner_folds, bench.seed).persist()
    rows = feature_frame(users, features).select("features", "label").limit(n_users).toPandas()
    x, y = np.stack([vector.toArray() for vector in rows["features"]]), rows["label"].to_numpy()
    # scikit-learn's C is the inverse of a penalty on the sum of losses; MLlib's penalty is on their mean.
    strengths = [1 / (reg * n_users) for reg in settings.reg_params]
    scikit = LogisticRegressionCV(
        Cs=strengths, cv=settings.inner_folds, scoring="neg_log_loss", max_iter=settings.max_iter, tol=1e-4
    )
    ours, reference = take_turns(
        bench.repeats, timed(lambda: fit_classifier(users, LABELS, features, settings)), timed(lambda: scikit.fit(x, y))
    )
    users.unpersist()
    size = f"{n_users} users, vectors of {RANK}, {settings.inner_folds} folds x {len(strengths)} values"
    more = {"threads": bench.threads or 2}
    return Comparison("gender_training", size, ours, "scikit-learn LogisticRegressionCV", reference, "", more)


def _write_users(bench: Bench, folder: Path, n_users: int) -> Features:
    """Write users with vectors, histories and labels to Parquet files; return their features.

    Labels depend on the vectors.
    """
    generator = np.random.default_rng(bench.seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    items = generator.normal(size=(FULL_ITEMS, RANK)).astype(np.float32)
    matrix = write_item_arrays(items, bench.folder / "items", FULL_ITEMS, RANK, 1 << 30)
    direction = generator.normal(size=RANK)
    for start in range(0, n_users, ROWS_A_FILE):
        n = min(ROWS_A_FILE, n_users - start)
        vectors = generator.normal(size=(n, RANK)).astype(np.float32)
        labels = (vectors @ direction + generator.normal(size=n) * 8 > 0).astype(float)
        first, stride = generator.integers(0, FULL_ITEMS, (n, 1)), 2 * generator.integers(1, 1000, (n, 1)) + 1
        plays = ((first + stride * np.arange(PLAYS)) % FULL_ITEMS).astype(np.int32)
        table = pa.table(
            {
                "user_idx": np.arange(start, start + n, dtype=np.int32),
                "user_id": [f"user-{number}" for number in range(start, start + n)],
                "vector": _lists(vectors),
                "history": _lists(plays),
                "history_confidence": pa.nulls(n, pa.list_(pa.float32())),
                "label": labels,
            }
        )
        pq.write_table(table, folder / f"part-{start:09d}.parquet")
    return Features(matrix, Codes(DotScorer(matrix), np.zeros(RANK), np.full(RANK, RANK**-0.5)), None)


def _lists(rows: NDArray[np.generic]) -> pa.ListArray:
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(offsets, pa.array(rows.ravel()))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return shares
