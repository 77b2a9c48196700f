"""Weights of a history of one play an item, without Spark; weighting.py defines them for tables."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["single_play_weights"]


def single_play_weights(settings: Mapping[str, Any], item_idx: NDArray[np.int32], folder: Path) -> NDArray[np.float32]:
    """Return the weight of one play of each item, (n,), for a trained model.

    `settings` are those of the model, `folder` has its statistics. NaN for items without plays in training, where the
    weighting uses the idf.
    """
    weighting = settings["weighting"]
    if weighting in ("linear", "log", "binary"):
        return np.full(item_idx.size, np.log1p(1.0) if weighting == "log" else 1.0, np.float32)
    idf = _idf(item_idx, folder)
    if weighting == "tf_idf":
        return idf.astype(np.float32)
    average_length = json.loads((folder / "bm25.json").read_text())["average_length"]
    k1, b = settings["bm25_k1"], settings["bm25_b"]
    norm = 1 - b + b * item_idx.size / average_length
    weights: NDArray[np.float32] = ((k1 + 1) / (k1 * norm + 1) * idf).astype(np.float32)
    return weights


def _idf(item_idx: NDArray[np.int32], folder: Path) -> NDArray[np.float64]:
    import pyarrow.parquet as pq

    wanted = item_idx.tolist()
    rows = pq.read_table(folder / "bm25_idf", filters=[("item_idx", "in", wanted)]).to_pydict() if wanted else {}
    found = dict(zip(rows.get("item_idx", ()), rows.get("idf", ()), strict=True))
    return np.array([found.get(item, np.nan) for item in wanted], np.float64)
