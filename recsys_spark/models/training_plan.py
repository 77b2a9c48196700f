"""What a training job is to make: of which pairs, by which settings, under which name, and judged by which other."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from recsys_spark.core.errors import MissingInputError
from recsys_spark.core.names import training_job
from recsys_spark.core.shard_spec import side_fields
from recsys_spark.models.versions import ModelVersion, find_model, is_recorded, version_name
from recsys_spark.preparation.training_pairs import TrainingPairs, training_pairs
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.runtime.job import JobRun
from recsys_spark.storage.model_files import lost_files

__all__ = ["Plan", "plan_model", "plan_version"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """One version to be trained. `parent` is the version on the training part of the split that chose the settings
    of a last fit (`model.fit`), and by whose figures that fit is judged.
    """

    kind: str
    settings: BaseModel
    version: str
    pairs: TrainingPairs
    seed: int
    parent: ModelVersion | None = None

    @property
    def artifact(self) -> str:
        """Where its files lie below files.root."""
        return f"models/{self.version}"

    @property
    def params(self) -> dict[str, Any]:
        """What `models` says of how it was made."""
        return {"settings": self.settings.model_dump(mode="json"), "seed": self.seed, "fit": self.pairs.fit}

    @property
    def row(self) -> dict[str, str | None]:
        """What `models` says of what it was trained on: no split where that was everything."""
        parent = None if self.parent is None else self.parent.version
        return {"split_id": None if self.pairs.fit == "everything" else self.pairs.split_id, "parent_version": parent}

    def is_done(self, run: JobRun) -> bool:
        """Whether the version has its row in models and what scoring maps; files that were cleared away are made
        again.
        """
        if not is_recorded(run.tables, self.version):
            return False
        folder = Path(run.config.files_root) / self.artifact
        try:
            ItemMatrix.open(folder / "items")
        except MissingInputError:
            return False
        if lost := lost_files(folder):
            log.warning("%s is trained again: %s is gone", self.version, lost[0])
            return False
        log.info("%s is trained already", self.version)
        return True


def plan_model(run: JobRun, kind: str) -> Plan:
    """The version of a kind that the configuration asks for. The same work gives the same name.

    Raises MissingInputError for a last fit whose settings were not tried on the split.
    """
    return plan_version(run, kind, run.config.settings_of(kind), training_pairs(run.tables, run.config))


def plan_version(run: JobRun, kind: str, settings: BaseModel, pairs: TrainingPairs) -> Plan:
    """The same for settings and pairs that are given."""
    seed = run.config.run.seed
    users = run.tables.data_version("users") if side_fields(settings) else None
    version = version_name(kind, settings, seed, pairs.data_version, pairs.split_id, pairs.fit, users)
    parent = None
    if pairs.fit != "train":
        name = version_name(kind, settings, seed, pairs.data_version, pairs.split_id, users_version=users)
        if not is_recorded(run.tables, name):
            raise MissingInputError(
                f"model.fit = {pairs.fit}: these settings were not tried on {pairs.split_id} yet: run "
                f"{training_job(kind)} --model.kind {kind} with the same settings and without model.fit first"
            )
        parent = find_model(run.tables, kind, name)
    return Plan(kind, settings, version, pairs, seed, parent)
