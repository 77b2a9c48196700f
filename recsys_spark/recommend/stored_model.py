"""A trained version, ready to score: its kind, its matrix below files.root, its scorer."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.core.names import NETWORKS, training_job
from recsys_spark.models.kind import ModelKind, load_kind
from recsys_spark.models.popularity import Popularity, PopularitySettings
from recsys_spark.models.versions import ModelVersion
from recsys_spark.ranking.item_matrix import ItemMatrix, write_item_matrix
from recsys_spark.ranking.scorer import Scorer
from recsys_spark.runtime.job import JobRun
from recsys_spark.storage.model_files import lost_files

if TYPE_CHECKING:
    from recsys_spark.inference.network_model import NetworkModel

__all__ = ["StoredModel", "n_items", "open_model", "popular_folder", "popular_scorer", "vectors_of"]

# In seconds.
WEEK = 7 * 24 * 3600


@dataclass(frozen=True)
class StoredModel:
    """A version with what scoring needs."""

    version: ModelVersion
    kind: "ModelKind | NetworkModel"
    folder: Path
    matrix: ItemMatrix

    @property
    def scorer(self) -> Scorer:
        """The model as recommending sees it."""
        return self.kind.scorer(self.matrix)

    @property
    def item_vectors(self) -> ItemMatrix:
        """The item vectors as a matrix: the one that scores come from, unless the kind keeps another.

        Raises ConfigError for a kind without item vectors.
        """
        if not self.kind.has_item_vectors:
            raise ConfigError(f"models of kind {self.version.kind} have no item vectors, so no items are similar")
        folder = self.folder / "item_vectors"
        return ItemMatrix.open(folder) if folder.exists() else self.matrix


def open_model(run: JobRun, version: ModelVersion) -> StoredModel:
    """Opens what training left below files.root.

    Raises MissingInputError when the folder is incomplete.
    """
    folder = Path(run.config.files_root) / version.artifact
    try:
        if lost := lost_files(folder):
            raise MissingInputError(f"{folder / lost[0]} is missing")
        matrix = ItemMatrix.open(folder / "items")
    except MissingInputError as error:
        job = f"{training_job(version.kind)} --model.kind {version.kind}"
        raise MissingInputError(
            f"the files of {version.version} are gone or broken: run {job} again ({error})"
        ) from None
    kind = _network(version.kind, folder) if version.kind in NETWORKS else _spark_kind(version)
    return StoredModel(version, kind, folder, matrix)


def _spark_kind(version: ModelVersion) -> ModelKind:
    kind = load_kind(version.kind)
    return kind(kind.Settings.model_validate(version.params["settings"]))


def _network(kind: str, folder: Path) -> "NetworkModel":
    # A cluster without torch serves all other kinds.
    from recsys_spark.inference.network_model import NetworkModel

    return NetworkModel(kind, folder)


def vectors_of(run: JobRun, table: str, version: str) -> DataFrame | None:
    """The version's rows of user_vectors or item_vectors; None if it has none."""
    if not run.tables.exists(table):
        return None
    rows = run.tables.read(table).where(F.col("model_version") == version).drop("model_version")
    return None if rows.isEmpty() else rows


def popular_scorer(run: JobRun) -> Scorer:
    """What most users play, by the present interactions: the list for users of whom a model knows nothing."""
    popularity = Popularity(PopularitySettings())
    folder = popular_folder(run.config.files_root, f"v{run.tables.data_version('interactions')}")
    fitted = popularity.fit(run.tables.read("interactions"), folder, run.config.run.seed, 1)
    limit = run.config.outputs.max_item_matrix_bytes
    assert isinstance(fitted.matrix, DataFrame)
    return popularity.scorer(write_item_matrix(fitted.matrix, folder, n_items(run), limit))


def popular_folder(files_root: str, name: str) -> Path:
    """Where counts of one state of the plays lie. Each delivery makes another; those that no run asked for in a week
    are removed. A run that still reads one has asked for it since.
    """
    folder, now = Path(files_root) / "popular" / name, time.time()
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    for other in folder.parent.iterdir():
        if other.is_dir() and now - other.stat().st_mtime > WEEK:
            shutil.rmtree(other, ignore_errors=True)
    return folder


def n_items(run: JobRun) -> int:
    """One more than the largest item_idx, as of this run."""
    row = run.tables.read("item_index").agg(F.max("item_idx")).first()
    return 0 if row is None or row[0] is None else int(row[0]) + 1
