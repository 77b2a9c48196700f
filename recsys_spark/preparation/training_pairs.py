"""The pairs that a model is trained on: all interactions, or the training part of the split that is configured."""

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.model import BaseConfig
from recsys_spark.config.split import Fit, split_id
from recsys_spark.core.errors import ConfigError, MissingInputError, TrainingError
from recsys_spark.preparation.splits import training_part, validation_pairs
from recsys_spark.storage.tables import Tables

__all__ = ["TrainingPairs", "index_sizes", "split_rows", "training_pairs"]


@dataclass(frozen=True)
class TrainingPairs:
    """`train` has the columns of interactions; `fold_in` and `held_out` those of the validation users, if there are
    any. `data_version` is that of interactions; `split_id` None stands for no split. `fit` says how much of the data
    `train` holds.
    """

    train: DataFrame
    fold_in: DataFrame | None
    held_out: DataFrame | None
    data_version: int
    split_id: str | None
    fit: Fit = "train"


def training_pairs(tables: Tables, config: BaseConfig) -> TrainingPairs:
    """What `split.protocol`, `model.fit` and `run.seed` say to train on, read at this run's versions.

    Raises MissingInputError naming split_interactions where the split was not made of these interactions, ConfigError
    where `model.fit` does not go with the split.
    """
    interactions, fit = tables.read("interactions"), config.model.fit
    data_version = tables.data_version("interactions")
    if config.split.protocol is None:
        if fit != "train":
            raise ConfigError(f"model.fit = {fit} goes back to a split that judged the settings: set split.protocol")
        return TrainingPairs(interactions, None, None, data_version, None)
    name = split_id(config.split, config.run.seed, data_version)
    split = split_rows(tables, name)
    if split.isEmpty():
        raise MissingInputError(f"there is no split {name} of the present interactions: run split_interactions first")
    if fit == "everything":
        return TrainingPairs(interactions, None, None, data_version, name, fit)
    if fit == "train_and_validation":
        if config.split.protocol.startswith("strong"):
            raise ConfigError(f"model.fit = {fit}: {config.split.protocol} holds out users, whose pairs stay apart")
        return TrainingPairs(training_part(split, with_validation=True), None, None, data_version, name, fit)
    held = validation_pairs(split, "validation")
    if held.held_out.isEmpty():
        return TrainingPairs(training_part(split), None, None, data_version, name)
    return TrainingPairs(training_part(split), held.fold_in, held.held_out, data_version, name)


def split_rows(tables: Tables, name: str) -> DataFrame:
    """The rows of one split_id, as of this run; none where there is no such split."""
    return tables.read("splits").where(F.col("split_id") == name)


def index_sizes(tables: Tables) -> tuple[int, int]:
    """(n_users, n_items): one more than the largest index of each, as of this run.

    Raises TrainingError where there is nothing.
    """
    largest = [
        tables.read(f"{side}_index").agg(F.max(f"{side}_idx").alias("largest")).collect()[0]["largest"]
        for side in ("user", "item")
    ]
    if None in largest:
        raise TrainingError("there is nothing to train on: run ingest_plays and build_interactions first")
    return largest[0] + 1, largest[1] + 1
