"""Shard folders of a network: one of training rows, and one of validation rows with held-out entries."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import MissingInputError
from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.preparation.shards import write_shards
from recsys_spark.preparation.side_features import SideFeatures, read_side_features
from recsys_spark.preparation.sparse_rows import sparse_rows, with_held_out
from recsys_spark.preparation.training_pairs import TrainingPairs, index_sizes
from recsys_spark.storage.shard_format import FORMAT, MANIFEST, Manifest
from recsys_spark.storage.tables import Tables

__all__ = ["ShardSet", "check_shards", "plan_shards"]


@dataclass(frozen=True)
class ShardSet:
    """Paths of the shards of one ShardSpec, and the inputs that they are made from.

    A hash of `inputs` names the folder. `side_features` are written beside the rows where the spec has side fields.
    """

    train: Path
    validation: Path | None
    shard_spec: ShardSpec
    shape: tuple[int, int]
    inputs: dict[str, Any]
    side_features: SideFeatures | None = None

    def write(self, pairs: TrainingPairs, n_files: int, seed: int) -> list[Manifest]:
        """Write the folders that are not complete (see write_shards).

        Raises MissingInputError if there are no training rows.
        """
        manifests = [self._write(sparse_rows(pairs.train, self.shard_spec), self.train, n_files, seed)]
        if not manifests[0].rows:
            lacking = "pairs with a rating" if self.shard_spec.values == "rating" else "pairs"
            raise MissingInputError(f"there are no {lacking} to train on: run ingest_plays with data that has any")
        if self.validation is not None and pairs.fold_in is not None and pairs.held_out is not None:
            fold_in, held_out = (sparse_rows(part, self.shard_spec) for part in (pairs.fold_in, pairs.held_out))
            manifests.append(self._write(with_held_out(fold_in, held_out), self.validation, n_files, seed))
        return manifests

    def _write(self, rows: DataFrame, folder: Path, n_files: int, seed: int) -> Manifest:
        return write_shards(rows, folder, self.shard_spec, self.shape, n_files, seed, self.inputs, self.side_features)


def plan_shards(tables: Tables, config: BaseConfig, pairs: TrainingPairs, shard_spec: ShardSpec) -> ShardSet:
    """Return the shard folders of a ShardSpec below files.root.

    A hash of everything that determines their content names them.
    """
    n_users, n_items = index_sizes(tables)
    side_features = read_side_features(tables, shard_spec.side)
    shape = (n_users, n_items) if shard_spec.rows == "users" else (n_items, n_users)
    inputs = {
        "interactions": tables.data_state("interactions"),
        "split_id": pairs.split_id,
        "fit": pairs.fit,
        "recipe": shard_spec.as_dict(),
        "shape": list(shape),
        "seed": config.run.seed,
        "files": config.shards.files,
        "format": FORMAT,
        **({} if side_features is None else {name: tables.data_state(name) for name in ("users", "user_index")}),
    }
    name = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]
    folder = Path(config.files_root) / "shards" / name
    validation = None if pairs.held_out is None else folder / "validation"
    return ShardSet(folder / "train", validation, shard_spec, shape, inputs, side_features)


def check_shards(shards: ShardSet, kind: str) -> None:
    """Check that the shards of a kind of network are complete.

    Raises MissingInputError naming write_shards if they are not, and TrainingError naming a file that is missing from
    a folder or does not belong there.
    """
    for folder in (shards.train, shards.validation):
        if folder is not None:
            manifest = Manifest.read(folder) if (folder / MANIFEST).exists() else None
            if manifest is None or manifest.inputs != shards.inputs:
                raise MissingInputError(
                    f"{folder} holds no complete shards: run write_shards --model.kind {kind} first"
                )
            manifest.check_names(folder)
