"""Consistency of the outputs of one training after a killed attempt."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from recsys_spark.ranking.item_matrix import ItemMatrix
from tests.conftest import Workspace

ALS = ["--model.kind", "als", "--models.als.rank", "3", "--models.als.max_iter", "2"]


def test_files_of_a_killed_training_do_not_mix_with_new_vectors(
    workspace: Workspace, write: Callable[..., Path]
) -> None:
    """Another number of blocks gives other factors for the same version."""
    write("a.csv", "user_id,item_id\n" + "".join(f"u{n % 7},i{n % 5}\n" for n in range(35)))
    workspace.done("ingest_plays", "--source.format", "plays", "--source.path", workspace.root.parent / "raw")
    workspace.done("build_interactions")
    version = workspace.done("train_spark_model", *ALS).summary["model_version"]
    folder = workspace.root / "_files" / "models" / version
    # An earlier run with other factors was killed between its files and its row.
    workspace.spark.sql(f"DELETE FROM delta.`{workspace.root / 'models'}`")
    tile = folder / "items" / "tile-00000.npy"
    np.save(tile, np.load(tile) + 1)
    (folder / "files.json").unlink()
    assert workspace.done("train_spark_model", *ALS).summary["model_version"] == version
    rows = workspace.table("item_vectors").orderBy("item_idx").collect()
    served = ItemMatrix.open(folder / "items").rows(np.array([row["item_idx"] for row in rows]))
    np.testing.assert_array_equal(served, np.array([row["vector"] for row in rows], np.float32))
