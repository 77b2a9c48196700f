"""Training pairs of a model: all interactions, or the training part of the configured split."""

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.model import BaseConfig
from recsys_spark.config.split import Fit, split_id
from recsys_spark.core.errors import ConfigError, MissingInputError, TrainingError
from recsys_spark.preparation.held_out_pairs import held_out_pairs
from recsys_spark.preparation.splits import PAIR_COLUMNS
from recsys_spark.storage.tables import Tables

__all__ = ["TrainingPairs", "index_sizes", "interactions_key", "split_rows", "training_pairs", "training_part"]


@dataclass(frozen=True)
class TrainingPairs:
    """Pairs to train on, and input and held-out pairs of the validation users, if any.

    `train` has the columns of interactions. `data_key` is interactions_key; `split_id` is None without
    a split. `fit` names the part of the data in `train`.
    """

    train: DataFrame
    fold_in: DataFrame | None
    held_out: DataFrame | None
    data_key: int | str
    split_id: str | None
    fit: Fit = "train"


def training_pairs(tables: Tables, config: BaseConfig) -> TrainingPairs:
    """Return the pairs that `split`, `model.fit` and `run.seed` select, at this run's versions.

    Raises MissingInputError naming split_interactions where there is no split of the present interactions, and
    ConfigError where `model.fit` does not suit the split.
    """
    interactions, fit = tables.read("interactions"), config.model.fit
    data_key = interactions_key(tables)
    if config.split.protocol is None:
        if fit != "train":
            raise ConfigError(f"model.fit = {fit} needs the split that the settings were chosen on: set split.protocol")
        return TrainingPairs(interactions, None, None, data_key, None)
    name = split_id(config.split, config.run.seed, data_key)
    split = split_rows(tables, name)
    if split.isEmpty():
        raise MissingInputError(f"there is no split {name} of the present interactions: run split_interactions first")
    if fit == "everything":
        return TrainingPairs(interactions, None, None, data_key, name, fit)
    if fit == "train_and_validation":
        if config.split.protocol.startswith("strong"):
            raise ConfigError(
                f"model.fit = {fit} does not suit split.protocol = {config.split.protocol}, whose validation pairs are "
                "of held-out users: set model.fit to train or everything"
            )
        return TrainingPairs(training_part(split, with_validation=True), None, None, data_key, name, fit)
    validation = held_out_pairs(split, "validation")
    if validation.held_out.isEmpty():
        return TrainingPairs(training_part(split), None, None, data_key, name)
    return TrainingPairs(training_part(split), validation.fold_in, validation.held_out, data_key, name)


def interactions_key(tables: Tables) -> int | str:
    """Return the key of the present interactions, users and items (see Tables.data_key)."""
    return tables.data_key("interactions", "user_index", "item_index")


def training_part(split: DataFrame, with_validation: bool = False) -> DataFrame:
    """Return the training pairs of a split; `split` has the rows of one split_id.

    `with_validation` adds the validation pairs, except those of held-out users.
    """
    parts = ("train", "validation") if with_validation else ("train",)
    return split.where(F.col("part").isin(*parts)).select(*PAIR_COLUMNS)


def split_rows(tables: Tables, name: str) -> DataFrame:
    """Return the rows of one split_id, as of this run; empty if there is no such split."""
    return tables.read("splits").where(F.col("split_id") == name)


def index_sizes(tables: Tables) -> tuple[int, int]:
    """Return (n_users, n_items): the largest index of each, as of this run, plus one.

    Raises TrainingError for an empty index.
    """
    largest = [
        tables.read(f"{side}_index").agg(F.max(f"{side}_idx").alias("largest")).collect()[0]["largest"]
        for side in ("user", "item")
    ]
    if None in largest:
        raise TrainingError("user_index or item_index is empty: run ingest_plays and build_interactions first")
    return largest[0] + 1, largest[1] + 1
