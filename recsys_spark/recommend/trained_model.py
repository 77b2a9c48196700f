"""Trained model versions, loaded for scoring."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.core.names import NETWORKS, UNSCORED_KINDS, training_job
from recsys_spark.models.kind import ModelKind, load_kind
from recsys_spark.models.versions import ModelVersion
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import Scorer
from recsys_spark.storage.model_files import missing_files
from recsys_spark.storage.tables import Tables

if TYPE_CHECKING:
    from recsys_spark.inference.network_model import NetworkModel

__all__ = ["TrainedModel", "load_model", "n_items", "read_vectors"]


@dataclass(frozen=True)
class TrainedModel:
    """A model version with its kind, its folder and its scoring matrix."""

    version: ModelVersion
    kind: "ModelKind | NetworkModel"
    folder: Path
    matrix: ItemMatrix

    @property
    def scorer(self) -> Scorer:
        """Return the scorer of the model."""
        return self.kind.scorer(self.matrix)

    @property
    def item_vectors(self) -> ItemMatrix:
        """Return the item vectors: a matrix of their own where the kind keeps one, else the scoring matrix.

        Raises ConfigError for a kind without item vectors.
        """
        if not self.kind.has_item_vectors:
            raise ConfigError(
                f"models of kind {self.version.kind} have no item vectors to compare items by: choose another kind"
            )
        folder = self.folder / "item_vectors"
        return ItemMatrix.open(folder) if folder.exists() else self.matrix


def load_model(files_root: str, version: ModelVersion) -> TrainedModel:
    """Load the files of a model version from below files.root.

    Raises MissingInputError when the folder is incomplete, ConfigError for a kind that scores no users.
    """
    if version.kind in UNSCORED_KINDS:
        raise ConfigError(
            f"{version.version} is of kind {version.kind}, which scores no users: name a model of another kind"
        )
    folder = Path(files_root) / version.artifact
    try:
        if missing := missing_files(folder):
            raise MissingInputError(f"{folder / missing[0]} is missing")
        matrix = ItemMatrix.open(folder / "items")
    except MissingInputError as error:
        job = f"{training_job(version.kind)} --model.kind {version.kind}"
        raise MissingInputError(
            f"the files of {version.version} are missing or broken ({error}): run {job} again"
        ) from None
    kind = _network(version.kind, folder) if version.kind in NETWORKS else _spark_kind(version)
    return TrainedModel(version, kind, folder, matrix)


def _spark_kind(version: ModelVersion) -> ModelKind:
    kind = load_kind(version.kind)
    return kind(kind.Settings.model_validate(version.params["settings"]))


def _network(kind: str, folder: Path) -> "NetworkModel":
    # Imported here, as a cluster may have no torch: all other kinds work without it.
    from recsys_spark.inference.network_model import NetworkModel

    return NetworkModel(kind, folder)


def read_vectors(tables: Tables, table: str, version: str) -> DataFrame | None:
    """Return a version's rows of user_vectors or item_vectors, or None if it has none."""
    if not tables.exists(table):
        return None
    rows = tables.read(table).where(F.col("model_version") == version).drop("model_version")
    return None if rows.isEmpty() else rows


def n_items(tables: Tables) -> int:
    """Return the largest item_idx plus one, as of this run, or 0 without items."""
    row = tables.read("item_index").agg(F.max("item_idx")).first()
    return 0 if row is None or row[0] is None else int(row[0]) + 1
