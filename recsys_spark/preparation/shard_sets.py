"""The shard folders that a network trains on: one of training rows, and one of validation rows with what to find."""

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
from recsys_spark.preparation.side_features import Profiles, read_profiles
from recsys_spark.preparation.sparse_rows import sparse_rows, with_held_out
from recsys_spark.preparation.training_pairs import TrainingPairs, index_sizes
from recsys_spark.storage.shard_format import FORMAT, MANIFEST, Manifest
from recsys_spark.storage.tables import Tables

__all__ = ["ShardSet", "plan_shards", "written_shards"]


@dataclass(frozen=True)
class ShardSet:
    """Folders of the shards of one specification.

    `inputs` are the versions and settings that name the folders. `profiles` are the side features of the rows, if the
    specification has any.
    """

    train: Path
    validation: Path | None
    shard_spec: ShardSpec
    shape: tuple[int, int]
    inputs: dict[str, Any]
    profiles: Profiles | None = None

    def write(self, pairs: TrainingPairs, n_files: int, seed: int) -> list[Manifest]:
        """Writes what is not there yet; see write_shards. Raises MissingInputError if there is nothing to train on."""
        manifests = [self._write(sparse_rows(pairs.train, self.shard_spec), self.train, n_files, seed)]
        if not manifests[0].rows:
            lacking = "pairs with a rating" if self.shard_spec.values == "rating" else "pairs"
            raise MissingInputError(
                f"there is nothing to train on, no {lacking}: run ingest_plays with data that has any"
            )
        if self.validation is not None and pairs.fold_in is not None and pairs.held_out is not None:
            held = with_held_out(
                sparse_rows(pairs.fold_in, self.shard_spec), sparse_rows(pairs.held_out, self.shard_spec)
            )
            manifests.append(self._write(held, self.validation, n_files, seed))
        return manifests

    def _write(self, rows: DataFrame, folder: Path, n_files: int, seed: int) -> Manifest:
        return write_shards(rows, folder, self.shard_spec, self.shape, n_files, seed, self.inputs, self.profiles)


def plan_shards(tables: Tables, config: BaseConfig, pairs: TrainingPairs, shard_spec: ShardSpec) -> ShardSet:
    """The folders of a shard specification below files.root, named by all that decides what is in them."""
    n_users, n_items = index_sizes(tables)
    profiles = read_profiles(tables, shard_spec.side)
    shape = (n_users, n_items) if shard_spec.rows == "users" else (n_items, n_users)
    inputs = {
        "interactions": pairs.data_version,
        "split_id": pairs.split_id,
        "fit": pairs.fit,
        "recipe": shard_spec.as_dict(),
        "shape": list(shape),
        "seed": config.run.seed,
        "files": config.shards.files,
        "format": FORMAT,
        **({} if profiles is None else {"users": profiles.version}),
    }
    name = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]
    folder = Path(config.files_root) / "shards" / name
    validation = None if pairs.held_out is None else folder / "validation"
    return ShardSet(folder / "train", validation, shard_spec, shape, inputs, profiles)


def written_shards(shards: ShardSet, kind: str) -> ShardSet:
    """The same, once it is sure that they were written. Raises MissingInputError naming write_shards otherwise, and
    TrainingError naming a file that is missing from a folder or does not belong there.
    """
    for folder in (shards.train, shards.validation):
        if folder is not None:
            manifest = Manifest.read(folder) if (folder / MANIFEST).exists() else None
            if manifest is None or manifest.inputs != shards.inputs:
                raise MissingInputError(
                    f"{folder} holds no complete shards: run write_shards --model.kind {kind} first"
                )
            manifest.check_names(folder)
    return shards
