"""Small tables, written by delta-rs, with serving models."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from recsys_spark.interface.commands import main
from recsys_spark.ranking.matrix_writer import write_item_arrays

Answer = tuple[int, str, str]
NAMES = {"i0": "Blue Moon", "i1": "blue  moon ", "i2": "Red Sun", "i3": "O'Neill's [bold]Song", "i4": None}
SETTINGS = {"weighting": "log", "reg_param": 0.1, "alpha": 1.0, "implicit": True, "bm25_k1": 100.0, "bm25_b": 0.8}


def model_row(version: str, serves: list[str], settings: dict[str, Any]) -> dict[str, Any]:
    """Return a row of models."""
    params = json.dumps({"settings": settings})
    kind = version.rpartition("-")[0]
    artifact = f"models/{version}"
    row = {"model_version": version, "algorithm": kind, "artifact": artifact, "params": params, "serves": serves}
    return {**row, "published_at": datetime(2024, 2, 29, tzinfo=UTC) if serves else None}


def write(root: Path, name: str, rows: list[dict[str, Any]]) -> None:
    """Write a table."""
    write_deltalake(str(root / name), pa.Table.from_pylist(rows), mode="overwrite")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root where als-new serves lists, and gender-new, with vectors of als-new, serves predictions."""
    root = tmp_path / "tables"
    models = [
        model_row("als-old", [], SETTINGS),
        model_row("als-new", ["item_similarity", "recommendations"], SETTINGS),
        model_row("gender-new", ["gender_predictions"], {}),
    ]
    write(root, "models", models)
    write(root, "items", [{"item_id": item, "name": name} for item, name in NAMES.items()])
    write(root, "item_index", [{"item_id": item, "item_idx": number} for number, item in enumerate(NAMES)])
    near = [
        ("als-old", "i0", 1, "i4"),
        ("als-new", "i0", 2, "i3"),
        ("als-new", "i0", 1, "i2"),
        ("als-new", "i3", 1, "i4"),
    ]
    columns = ("model_version", "item_id", "position", "similar_item_id")
    write(root, "item_similarity", [{**dict(zip(columns, row, strict=True)), "similarity": 1 / row[2]} for row in near])
    lists = [
        ("als-old", "u", 1, "i0"),
        ("als-new", "u", 1, "i2"),
        ("als-new", "u", 2, "i4"),
        ("als-new", "O'x", 1, "i0"),
    ]
    columns = ("model_version", "user_id", "position", "item_id")
    rest = {"score": 0.5, "origin": "model"}
    write(root, "recommendations", [{**dict(zip(columns, row, strict=True)), **rest} for row in lists])
    files = root / "_files" / "models"
    vectors = np.eye(5, 2, dtype=np.float32) + 1
    write_item_arrays(vectors, files / "als-new" / "items", 5, 2, 1 << 20)
    write_classifier(files / "gender-new", "als-new")
    return root


def write_classifier(folder: Path, source: str | None) -> None:
    """Write a classifier: item 0 is of women, item 2 of men; vectors, if any, have no weight."""
    tf_idf = np.array([[1], [1], [1], [1], [0]], np.float32)
    weights = np.array([[2, -2], [0, 0], [-2, 2], [0, 0], [0, 0]], np.float32)
    write_item_arrays(tf_idf, folder / "idf", 5, 1, 1 << 20)
    write_item_arrays(weights, folder / "item_weights", 5, 2, 1 << 20)
    k = 0 if source is None else 2
    described = {
        "labels": ["f", "m"],
        "class_users": [30, 10],
        "bias": [0.0, 0.0],
        "code_weights": [[0.0] * k, [0.0] * k],
        "source_version": source,
        "code_mean": [0.0] * k,
        "code_scale": [1.0] * k,
        "tf_idf": True,
    }
    (folder / "classifier.json").write_text(json.dumps(described))


@pytest.fixture
def ask(root: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Return a function that runs a command on the root.

    It returns exit code, stdout and stderr.
    """

    def run(*arguments: str) -> Answer:
        capsys.readouterr()
        code = main([*arguments, "--tables.root", str(root)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
