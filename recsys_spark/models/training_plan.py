"""Training plans: the pairs, settings and version name of one model to train."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pyspark.sql import Column
from pyspark.sql import functions as F

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.core.names import training_command
from recsys_spark.core.shard_spec import side_fields
from recsys_spark.models.versions import ModelVersion, find_model, find_versions, is_recorded, version_name
from recsys_spark.preparation.training_pairs import TrainingPairs, training_pairs
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.storage.model_files import missing_files
from recsys_spark.storage.tables import Tables

__all__ = ["TrainingPlan", "plan_training", "plan_version"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingPlan:
    """One model version to train.

    `parent` is set for a last fit (`model.fit`): the version on the training part of the split that chose the settings.
    Its metrics stand for the last fit's, which no part of the split can measure. `start` is the version whose vectors a
    warm start begins with. The name of the version does not depend on it: the same data are trained on once.
    """

    kind: str
    settings: BaseModel
    version: str
    pairs: TrainingPairs
    seed: int
    parent: ModelVersion | None = None
    start: ModelVersion | None = None

    @property
    def artifact(self) -> str:
        """Return the folder of the version's files, relative to files.root."""
        return f"models/{self.version}"

    @property
    def params(self) -> dict[str, Any]:
        """Return the content of the column `params` of models: settings, seed and model.fit."""
        params = {"settings": self.settings.model_dump(mode="json"), "seed": self.seed, "fit": self.pairs.fit}
        return params if self.start is None else {**params, "start": self.start.version}

    @property
    def row(self) -> dict[str, str | None]:
        """Return the columns `split_id` (None where everything is trained on) and `parent_version` of models."""
        parent = None if self.parent is None else self.parent.version
        return {"split_id": None if self.pairs.fit == "everything" else self.pairs.split_id, "parent_version": parent}

    def is_done(self, tables: Tables, files_root: str) -> bool:
        """Return True if the version has its row in models and its files exist.

        Files that were removed are made again by another training.
        """
        if not is_recorded(tables, self.version):
            return False
        folder = Path(files_root) / self.artifact
        try:
            ItemMatrix.open(folder / "items")
        except MissingInputError:
            return False
        if missing := missing_files(folder):
            log.warning("%s lacks its file %s: training it again", self.version, missing[0])
            return False
        log.info("%s is already trained", self.version)
        return True


def plan_training(tables: Tables, config: BaseConfig, kind: str) -> TrainingPlan:
    """Return the plan of the version of a kind that the configuration describes.

    The same work has the same version name. Raises MissingInputError for a last fit (`model.fit`) whose settings were
    not trained on the split before.
    """
    return plan_version(tables, config, kind, config.settings_of(kind), training_pairs(tables, config))


def plan_version(
    tables: Tables, config: BaseConfig, kind: str, settings: BaseModel, pairs: TrainingPairs
) -> TrainingPlan:
    """Return the plan of a version for given settings and pairs; see plan_training."""
    seed = config.run.seed
    users = tables.data_key("users") if side_fields(settings) else None
    version = version_name(kind, settings, seed, pairs.data_key, pairs.split_id, pairs.fit, users)
    parent = None
    if pairs.fit != "train":
        name = version_name(kind, settings, seed, pairs.data_key, pairs.split_id, users_key=users)
        if not is_recorded(tables, name):
            raise MissingInputError(
                f"model.fit = {pairs.fit}: no model with these settings was trained on {pairs.split_id}: run "
                f"{training_command(kind)} with the same settings and without model.fit first"
            )
        parent = find_model(tables, kind, name)
    start = _start_version(tables, kind, settings, pairs, version)
    return TrainingPlan(kind, settings, version, pairs, seed, parent, start)


def _start_version(
    tables: Tables, kind: str, settings: BaseModel, pairs: TrainingPairs, version: str
) -> ModelVersion | None:
    """Return the version whose vectors a warm start begins with.

    It is the newest other one on the same part of the data; None if the settings ask for no warm start. A model on a
    split starts from models on splits only: another one has seen the held-out pairs. Raises ConfigError for a version
    of another rank.
    """
    if not getattr(settings, "warm_start", False):
        return None
    if is_recorded(tables, version):
        # A training that makes lost files again has the same start.
        start: str | None = find_model(tables, kind, version).params.get("start")
        return None if start is None else next(find_versions(tables, F.col("model_version") == start), None)
    on_split = pairs.split_id is not None and pairs.fit != "everything"
    is_other: Column = (F.col("algorithm") == kind) & (F.col("model_version") != version)
    others = find_versions(tables, is_other & (F.col("split_id").isNotNull() == F.lit(on_split)))
    found = next((other for other in others if other.fit == pairs.fit), None)
    if found is None:
        log.info("there is no earlier version of %s to start from: starting from random vectors", kind)
        return None
    rank, wanted = found.params["settings"]["rank"], settings.rank  # type: ignore[attr-defined]
    if rank != wanted:
        raise ConfigError(
            f"models.{kind}.warm_start: {found.version} has rank {rank}, not {wanted}: set models.{kind}.rank to {rank}"
            f", or train once with models.{kind}.warm_start false"
        )
    return found
