"""A gender classifier and the model of its vectors, read without Spark."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys_spark.cli.item_search import match_titles
from recsys_spark.cli.serving import StoredModel, stored_model
from recsys_spark.config.model import BaseConfig
from recsys_spark.core.errors import ConfigError, MissingInputError
from recsys_spark.core.names import training_job
from recsys_spark.gender.linear_model import read_linear_model
from recsys_spark.gender.title_prediction import TitleHistory, TitlePrediction, predict_matches
from recsys_spark.models.als_fold_in import AlsFoldIn
from recsys_spark.preparation.single_plays import single_play_weights
from recsys_spark.ranking.dot_scorer import DotScorer
from recsys_spark.ranking.item_matrix import ItemMatrix
from recsys_spark.ranking.scorer import HistoryEncoder, VectorScorer
from recsys_spark.storage.stored_tables import StoredTables

__all__ = ["predict"]


def predict(
    tables: StoredTables, version: StoredModel, files: Path, titles: Sequence[str], config: BaseConfig
) -> TitlePrediction:
    """Predict the gender for these titles by a classifier version.

    `files` is the folder of files.root. Raises ConfigError, naming the job, for a classifier of vectors that need
    Spark or torch.
    """
    sources: list[StoredModel] = []

    def load_source(name: str) -> tuple[VectorScorer, ItemMatrix]:
        sources.append(stored_model(tables, name))
        encoder = _encoder(sources[0], version)
        matrix = _matrix(files, sources[0])
        return DotScorer(matrix, encoder), matrix

    model, described = read_linear_model(files / version.artifact, version.version, load_source)
    matches, names = match_titles(tables, titles)
    items = np.array(sorted(names), np.int32)
    weights = _weights(sources[0], items, files) if sources else np.ones(items.size, np.float32)
    history = TitleHistory(items, weights)
    return predict_matches(model, described, matches, names, history, config.gender.confidence)


def _encoder(source: StoredModel, version: StoredModel) -> HistoryEncoder:
    settings = source.params["settings"]
    if source.kind == "als":
        return AlsFoldIn(settings["reg_param"], settings["alpha"], settings["implicit"])
    if source.kind == "lsa":
        # scipy takes longer to import than the rest of the answer.
        from recsys_spark.models.lsa_fold_in import LsaFoldIn

        return LsaFoldIn(settings["center"])
    raise ConfigError(
        f"{version.version} uses the vectors of {source.version}, and this command has none of kind {source.kind}:"
        f" run predict_gender --model.version {version.version} --items TITLE..."
    )


def _weights(source: StoredModel, items: NDArray[np.int32], files: Path) -> NDArray[np.float32]:
    """Return the confidence of one play of each item; a model of ratings has none."""
    settings = source.params["settings"]
    if not settings.get("implicit", True):
        return np.full(items.size, np.nan, np.float32)
    try:
        return single_play_weights(settings, items, files / source.artifact)
    except FileNotFoundError as error:
        raise _incomplete(source, str(error)) from None


def _matrix(files: Path, source: StoredModel) -> ItemMatrix:
    try:
        return ItemMatrix.open(files / source.artifact / "items")
    except MissingInputError as error:
        raise _incomplete(source, str(error)) from None


def _incomplete(source: StoredModel, problem: str) -> MissingInputError:
    job = f"{training_job(source.kind)} --model.kind {source.kind}"
    return MissingInputError(f"the files of {source.version} are missing or broken ({problem}): run {job} again")
