"""Linear classifier of features, stored as JSON and item matrices; it needs no Spark."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys_spark.core.errors import MissingInputError
from recsys_spark.gender.feature_arrays import Codes, FeatureArrays, Features, TfIdf
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import UserBlock, VectorScorer

__all__ = ["FILE", "LinearModel", "base_rates", "block_probabilities", "read_linear_model"]

FILE = "classifier.json"


@dataclass(frozen=True)
class LinearModel:
    """Linear classifier of features, small to pickle.

    code_weights (classes, k), item_weights as a matrix (n_items, classes) or None, bias (classes,).
    """

    labels: tuple[str, ...]
    features: Features
    code_weights: NDArray[np.float64]
    item_weights: ItemMatrix | None
    bias: NDArray[np.float64]


def read_linear_model(
    folder: Path, version: str, load_source: Callable[[str], tuple[VectorScorer, ItemMatrix]]
) -> tuple[LinearModel, dict[str, Any]]:
    """Return the classifier in a folder, and the content of its JSON file.

    `load_source` gives the scorer and the matrix of a model version, for a classifier of vectors. Raises
    MissingInputError where files are missing.
    """
    try:
        described = json.loads((folder / FILE).read_text())
        idf = ItemMatrix.open(folder / "idf") if described["tf_idf"] else None
        item_weights = ItemMatrix.open(folder / "item_weights") if described["tf_idf"] else None
    except (FileNotFoundError, MissingInputError) as error:
        raise MissingInputError(
            f"the files of {version} are missing or broken ({error}): run train_gender_model again"
        ) from None
    codes, item_matrix = None, idf
    if described["source_version"] is not None:
        scorer, item_matrix = load_source(described["source_version"])
        codes = Codes(scorer, np.array(described["code_mean"]), np.array(described["code_scale"]))
    assert item_matrix is not None
    features = Features(item_matrix, codes, None if idf is None else TfIdf(idf))
    weights = np.array(described["code_weights"]).reshape(len(described["labels"]), features.n_codes)
    bias = np.array(described["bias"])
    return LinearModel(tuple(described["labels"]), features, weights, item_weights, bias), described


def base_rates(described: dict[str, Any]) -> dict[str, float]:
    """Return the shares of the genders among the users in training."""
    users = described["class_users"]
    return {label: n / sum(users) for label, n in zip(described["labels"], users, strict=True)}


def block_probabilities(block: UserBlock, model: LinearModel) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the probabilities of a block (n, classes) and its numbers of known items (n,)."""
    rows = model.features.rows(block)
    logits = rows.codes @ model.code_weights.T + model.bias
    if model.item_weights is not None:
        logits += _from_items(rows, model.item_weights.whole())
    logits -= logits.max(axis=1, keepdims=True)
    chances = np.exp(logits)
    return chances / chances.sum(axis=1, keepdims=True), rows.known_items


def _from_items(rows: FeatureArrays, weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the logits of the TF-IDF entries of each user, (n, classes)."""
    n = rows.indptr.size - 1
    row = np.repeat(np.arange(n), np.diff(rows.indptr))
    columns = [np.bincount(row, rows.values * weights[rows.indices, c], minlength=n) for c in range(weights.shape[1])]
    return np.column_stack(columns)
