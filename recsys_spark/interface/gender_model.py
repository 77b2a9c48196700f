"""A gender classifier and the model of its vectors, read without Spark."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.core.names import training_job
from recsys_spark.core.paths import local_path
from recsys_spark.gender.linear_model import read_linear_model
from recsys_spark.gender.title_prediction import TitleHistory, TitlePrediction, predict_matches
from recsys_spark.inference.autoencoder_codes import AutoencoderCodes
from recsys_spark.interface.item_search import match_titles
from recsys_spark.interface.serving import StoredModel, stored_model
from recsys_spark.models.als_fold_in import AlsFoldIn
from recsys_spark.models.block_als.objective import Objective
from recsys_spark.preparation.single_plays import single_play_weights
from recsys_spark.ranking.dot_scorer import DotScorer
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import VectorScorer
from recsys_spark.storage.queries import Queries

if TYPE_CHECKING:
    from recsys_spark.storage.tables import Tables

__all__ = ["predict", "predict_titles"]

# Kinds whose vectors of new histories need neither Spark nor torch.
ANSWERED = ("als", "lsa", "song_autoencoder")


class VectorsNeedSparkError(ConfigError):
    """The vectors of new histories need Spark or torch."""


def predict_titles(
    queries: Queries,
    version: StoredModel,
    config: BaseConfig,
    titles: Sequence[str],
    open_tables: Callable[[], "Tables"],
) -> TitlePrediction:
    """Predict the gender for these titles by a classifier version.

    Spark predicts where the vectors of new histories need it.
    """
    try:
        return predict(queries, version, titles, config)
    except VectorsNeedSparkError:
        from recsys_spark.gender.title_list import predict_titles as predict_by_spark
        from recsys_spark.gender.trained_classifier import find_classifier, load_classifier

        tables = open_tables()
        classifier = load_classifier(tables, config.files_root, find_classifier(tables, version.version))
        return predict_by_spark(tables, config, classifier, titles)


def predict(tables: Queries, version: StoredModel, titles: Sequence[str], config: BaseConfig) -> TitlePrediction:
    """Predict the gender for these titles by a classifier version.

    Raises VectorsNeedSparkError, naming the job, for a classifier of vectors that need Spark or torch; ConfigError
    where files.root is no local folder.
    """
    files = local_path(config.files_root)
    if files is None:
        raise ConfigError(f"files.root: {config.files_root} is not a path: set it to the folder of the model files")
    sources: list[StoredModel] = []
    matches, names = match_titles(tables, titles)
    items = np.array(sorted(names), np.int32)

    def load_source(name: str) -> tuple[VectorScorer, ItemMatrix]:
        sources.append(stored_model(tables, name))
        return _scorer(files, sources[0], version, items)

    model, described = read_linear_model(files / version.artifact, version.version, load_source)
    weights = _weights(sources[0], items, files) if sources else np.ones(items.size, np.float32)
    return predict_matches(model, described, matches, names, TitleHistory(items, weights), config.gender.confidence)


def _scorer(
    files: Path, source: StoredModel, version: StoredModel, items: NDArray[np.int32]
) -> tuple[VectorScorer, ItemMatrix]:
    """Return the vectors of new histories of these items, and the matrix of the model."""
    if source.kind not in ANSWERED:
        raise VectorsNeedSparkError(
            f"{version.version} uses the vectors of {source.version}, which this command cannot compute for kind"
            f" {source.kind}: run predict_gender --model.version {version.version} --items TITLE..."
        )
    settings, folder = source.params["settings"], files / source.artifact
    try:
        matrix = ItemMatrix.open(folder / "items")
        if source.kind == "als":
            return DotScorer(matrix, AlsFoldIn(Objective.of(settings))), matrix
        if source.kind == "lsa":
            # scipy takes longer to import than the rest of the answer.
            from recsys_spark.models.lsa_fold_in import LsaFoldIn

            return DotScorer(matrix, LsaFoldIn(settings["center"])), matrix
        return AutoencoderCodes.open(folder, items), matrix
    except MissingInputError as error:
        raise _incomplete(source, str(error)) from None


def _weights(source: StoredModel, items: NDArray[np.int32], files: Path) -> NDArray[np.float32]:
    """Return the confidence of one play of each item; a model of ratings has none."""
    settings = source.params["settings"]
    if source.kind == "song_autoencoder":
        return np.ones(items.size, np.float32)
    if not settings.get("implicit", True):
        return np.full(items.size, np.nan, np.float32)
    try:
        return single_play_weights(settings, items, files / source.artifact)
    except FileNotFoundError as error:
        raise _incomplete(source, str(error)) from None


def _incomplete(source: StoredModel, problem: str) -> MissingInputError:
    job = f"{training_job(source.kind)} --model.kind {source.kind}"
    return MissingInputError(f"the files of {source.version} are missing or broken ({problem}): run {job} again")
