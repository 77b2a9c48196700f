"""What training keeps belongs together, whatever an earlier attempt left."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from recsys_spark.ranking.item_matrix import ItemMatrix
from tests.conftest import Workspace

ALS = ["--model.kind", "als", "--models.als.rank", "3", "--models.als.max_iter", "2"]


def test_what_a_killed_training_left_is_not_mixed_with_vectors_of_the_next(
    workspace: Workspace, write: Callable[..., Path]
) -> None:
    """With another number of blocks the factors are others, of the same version."""
    write("a.csv", "user_id,item_id\n" + "".join(f"u{n % 7},i{n % 5}\n" for n in range(35)))
    workspace.done("ingest_plays", "--source.format", "plays", "--source.path", workspace.root.parent / "raw")
    workspace.done("build_interactions")
    version = workspace.done("train_spark_model", *ALS).summary["model_version"]
    folder = workspace.root / "_files" / "models" / version
    # Killed behind its files and before its row, by a run whose factors were others.
    workspace.spark.sql(f"DELETE FROM delta.`{workspace.root / 'models'}`")
    tile = folder / "items" / "tile-00000.npy"
    np.save(tile, np.load(tile) + 1)
    (folder / "files.json").unlink()
    assert workspace.done("train_spark_model", *ALS).summary["model_version"] == version
    rows = workspace.table("item_vectors").orderBy("item_idx").collect()
    served = ItemMatrix.open(folder / "items").rows(np.array([row["item_idx"] for row in rows]))
    np.testing.assert_array_equal(served, np.array([row["vector"] for row in rows], np.float32))
